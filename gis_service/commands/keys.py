"""``keys``: who may write, and how often somebody may ask."""

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gis_service.access_keys import Role
from gis_service.commands.terminal import language, say, show, show_json
from gis_service.settings import Settings
from layers.errors import BadParameter

if TYPE_CHECKING:
    from gis_service.access_keys import AccessKey, ListedKey

app = typer.Typer(help="Keys of callers: roles and limits.", no_args_is_help=True)

_JSON_HELP = "Print as JSON."


@app.command(name="create")
def create_key(
    name: Annotated[str, typer.Argument(help="Whose key it is, for lists and histories.")],
    role: Annotated[Role, typer.Option(help="What it may do.")],
    per_minute: Annotated[
        int | None, typer.Option(min=1, help="Most requests a minute; no limit if not given.")
    ] = None,
    host: Annotated[
        list[str] | None, typer.Option(help="Only pages of this host may use it as tk.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help=_JSON_HELP)] = False,
) -> None:
    """Make a key and show its secret, this once.

    Example: gis-service keys create "planning office" --role editor --per-minute 600
    """
    from gis_service import access_keys, start
    from layers.database import connect

    hosts = [_host(one) for one in host or ()]
    with start.database(Settings(), say) as dsn, connect(dsn) as connection:
        key, secret = access_keys.create(connection, name, role, per_minute=per_minute, hosts=hosts)
    if json:
        show_json({**_described(key), "secret": secret})
        return
    show(f"{secret}   {_line(key)}")
    say(
        "请妥善保存：密钥只显示这一次。" if language() == "zh"
        else "Keep it: it is shown this once."
    )  # fmt: skip


@app.command(name="list")
def list_keys(json: Annotated[bool, typer.Option("--json", help=_JSON_HELP)] = False) -> None:
    """All keys, also revoked ones; never a secret. Example: gis-service keys list"""
    from gis_service import access_keys, start
    from layers.database import connect

    with start.database(Settings(), say) as dsn, connect(dsn) as connection:
        found = access_keys.listed(connection)
    if json:
        show_json([_listed(one) for one in found])
        return
    for one in found:
        end = f"  revoked {one.revoked:%Y-%m-%d %H:%M}" if one.revoked else ""
        show(f"{one.key.id:>4}  {one.created:%Y-%m-%d}  {_line(one.key)}{end}")


@app.command(name="revoke")
def revoke_key(
    key: Annotated[int, typer.Argument(metavar="ID", help="Number of the key, see: keys list")],
) -> None:
    """End a key for good; running services forget it within ten seconds.

    Example: gis-service keys revoke 3
    """
    from gis_service import access_keys, start
    from layers.database import connect

    with start.database(Settings(), say) as dsn, connect(dsn) as connection:
        name = access_keys.revoke(connection, key)
    show(f"{key}  {name}: " + ("已撤销" if language() == "zh" else "revoked"))


def _host(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9.-]{1,253}", text.lower()):
        raise BadParameter(
            f"'{text[:80]}' is no host name; write www.example.org, without scheme and path.",
            f"“{text[:80]}”不是主机名；请写成 www.example.org，不带协议和路径。",
        )
    return text.lower()


def _line(key: "AccessKey") -> str:
    limit = f"{key.per_minute}/min" if key.per_minute else "-"
    return f"{key.role:<8} {limit:<10} {key.name}  {' '.join(key.hosts)}".rstrip()


def _described(key: "AccessKey") -> dict[str, Any]:
    return {
        "id": key.id, "name": key.name, "role": key.role, "per_minute": key.per_minute,
        "hosts": list(key.hosts),
    }  # fmt: skip


def _listed(one: "ListedKey") -> dict[str, Any]:
    return {
        **_described(one.key),
        "created": one.created.isoformat(),
        "revoked": one.revoked.isoformat() if one.revoked else None,
    }
