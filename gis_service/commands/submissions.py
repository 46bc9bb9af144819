"""``submissions``: what was sent, and what officers decide on it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
import typer

from gis_service.commands.terminal import say, show, show_json
from gis_service.settings import Settings, load_service_config
from layers.errors import BadInput, LimitExceeded, UnreadableFile

if TYPE_CHECKING:
    from layers.database import Connection

app = typer.Typer(help="Submissions: received, checked, decided on.", no_args_is_help=True)

_PROBLEMS: Final = frozenset({"violation", "undetermined"})
_Id = Annotated[str, typer.Argument(help="Submission id, see: submissions list")]
_Officer = Annotated[str, typer.Option(help="Who decides; stays in the history.")]
_Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


@app.command()
def add(
    file: Annotated[Path, typer.Argument(help="GeoJSON or any format that check reads.")],
    sender: Annotated[str, typer.Option(help="Who sends; stays in the history.")],
    attributes: Annotated[Path | None, typer.Option(help="JSON with more attributes.")] = None,
    as_of: Annotated[str | None, typer.Option(help="Day to check for, 2026-01-31.")] = None,
    source_crs: Annotated[str | None, typer.Option(help="CRS of the coordinates.")] = None,
    source_layer: Annotated[str | None, typer.Option(help="Layer inside the file.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="Idempotency key.")] = None,
    json: _Json = False,
) -> None:
    """Take a submission in and check it; exit code 1 when its report has problems.

    Example: gis-service submissions add site.zip --sender "Survey office"
    """
    from gis_service import start
    from gis_service.routes.requests import calendar_day
    from gis_service.submissions.delivery import Delivery
    from gis_service.submissions.intake import Sender, take_in

    delivery = Delivery(
        content=_content(file),
        file_name=file.name,
        attributes=_attributes(attributes),
        source_crs=source_crs,
        layer=source_layer,
        as_of=calendar_day(as_of, "--as-of") if as_of else None,
    )
    settings = Settings().model_copy(update={"check_processes": 1, "pool_size": 2})
    who = Sender(sender, f"command-line/{sender}", key, trusted=True)
    with (
        start.database(settings, say) as dsn,
        start.library(settings, dsn, access="restricted") as library,
    ):
        found = orjson.loads(take_in(library, delivery, who))
    _tell(found, as_json=json)
    raise typer.Exit(1 if found["outcome"] in _PROBLEMS else 0)


def _content(file: Path) -> bytes:
    most = load_service_config(Settings().config_dir).limits.submission_bytes
    if not file.is_file():
        raise UnreadableFile(
            f"There is no file {file}; pack a folder into a .zip.",
            f"没有文件 {file}；文件夹请打包为 .zip。",
            code="no-file",
        )
    if file.stat().st_size > most:
        raise LimitExceeded(
            f"{file.name} is larger than {most:,} bytes.", f"{file.name} 超过 {most:,} 字节。"
        )
    return file.read_bytes()


def _attributes(file: Path | None) -> dict[str, Any]:
    from gis_service.routes.requests import parse_json

    found = {} if file is None else parse_json(_content(file))
    if not isinstance(found, dict):
        raise BadInput(f"{file} is no JSON object.", f"{file} 不是 JSON 对象。")
    return found


@app.command(name="list")
def list_submissions(
    state: Annotated[str | None, typer.Option(help="Only in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most to show.")] = 50,
    after: Annotated[str | None, typer.Option(help="Mark of the page before.")] = None,
    json: _Json = False,
) -> None:
    """The newest submissions. Example: gis-service submissions list --state checked"""
    from gis_service.submissions import record

    wanted = record.state_named(state)
    shown, mark = _on_library(
        lambda connection: record.page(connection, state=wanted, after=after, most=limit)
    )
    if json:
        show_json({"submissions": shown, "next": mark})
        return
    for one in shown:
        name = one["name"] or ""
        show(f"{one['id']}  {one['created']}  {one['state']:<9} {one['outcome']:<13} {name}")
    if mark is not None:
        show(f"--after {mark}")


@app.command(name="show")
def show_submission(submission: _Id, json: _Json = False) -> None:
    """One submission with its history. Example: gis-service submissions show ID"""
    from gis_service.submissions import record

    _tell(_on_library(lambda connection: record.read(connection, submission)), as_json=json)


@app.command()
def approve(
    submission: _Id,
    officer: _Officer,
    reason: Annotated[str | None, typer.Option(help="Why.")] = None,
    override_reason: Annotated[
        str | None, typer.Option(help="Needed against a report that says otherwise.")
    ] = None,
    valid_until: Annotated[
        str | None, typer.Option(help="Last day; what is reserved lapses after it.")
    ] = None,
    json: _Json = False,
) -> None:
    """Approve, and reserve the quotas that the report measured.

    Example: gis-service submissions approve ID --officer "Wang" --valid-until 2027-12-31
    """
    from gis_service.routes.requests import calendar_day
    from gis_service.submissions import decisions

    day = calendar_day(valid_until, "--valid-until") if valid_until else None
    act = decisions.Approval(officer, reason, override_reason, day)
    found = _on_library(lambda connection: decisions.approve(connection, submission, act))
    _tell(found, as_json=json)


@app.command()
def reject(
    submission: _Id,
    officer: _Officer,
    reason: Annotated[str, typer.Option(help="Why.")],
    json: _Json = False,
) -> None:
    """Reject, or take an approval back; what was reserved is released.

    Example: gis-service submissions reject ID --officer "Wang" --reason "..."
    """
    from gis_service.submissions import decisions

    found = _on_library(lambda c: decisions.reject(c, submission, officer, reason))
    _tell(found, as_json=json)


@app.command()
def book(
    submission: _Id,
    officer: _Officer,
    reason: Annotated[str | None, typer.Option(help="Document or reason.")] = None,
    json: _Json = False,
) -> None:
    """Book what an approval reserved: the land is granted.

    Example: gis-service submissions book ID --officer "Wang"
    """
    from gis_service.submissions import decisions

    found = _on_library(lambda c: decisions.book(c, submission, officer, reason))
    _tell(found, as_json=json)


@app.command()
def expire(json: _Json = False) -> None:
    """Let approvals lapse whose last day is over (a worker does it every hour).

    Example: gis-service submissions expire
    """
    from gis_service.submissions import decisions

    ended = _on_library(decisions.expire)
    if json:
        show_json({"expired": ended})
        return
    for submission in ended:
        show(submission)


def _on_library[T](act: "Callable[[Connection], T]") -> T:
    """Run an act on the owner's connection."""
    from gis_service import start
    from layers.database import connect

    with start.database(Settings(), say) as dsn, connect(dsn) as connection:
        return act(connection)


def _tell(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(found)
        return
    received, normalised = found["received"], found["normalised"]
    show(f"{found['id']}  {found['name'] or ''}")
    show(f"  {found['state']}  {found['outcome']}  report {found['report_id']}")
    size = f"{received['bytes']:,} bytes, sha256 {received['sha256']}"
    show(f"  received   {received['format']}, {received['file_name'] or '-'}, {size}")
    show(
        f"  normalised {normalised['source_crs']}, {normalised['area_m2']:,.2f} m2, "
        f"sha256 {normalised['sha256']}"
    )
    for one in normalised["repairs"]:
        show(f"    repaired: {one['message']['en']} {one['message']['zh']}")
    for one in found["history"]:
        said = " ".join(
            str(one[name]) for name in ("reason", "override_reason", "valid_until") if name in one
        )
        show(f"  {one['at']}  {one['state']:<9} {one['actor']}  {said}".rstrip())
