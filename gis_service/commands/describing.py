"""What people say of an edition: options of import and publish, and ``plans describe``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gis_service.commands.terminal import say, show, show_json
from gis_service.settings import Settings
from layers.text import Text

if TYPE_CHECKING:
    from layers.metadata import EditionMetadata

ApprovalDocument = Annotated[str | None, typer.Option(help="Number of the approval (批复文号).")]
ApprovalDate = Annotated[str | None, typer.Option(help="Day of the approval, 2026-01-31.")]
ApprovalAuthority = Annotated[str | None, typer.Option(help="Who approved the edition.")]
TitleZh = Annotated[str | None, typer.Option(help="Chinese title of the edition.")]
TitleEn = Annotated[str | None, typer.Option(help="English title of the edition.")]


def said_of_edition(
    document: str | None,
    date: str | None,
    authority: str | None,
    title_zh: str | None,
    title_en: str | None,
) -> "EditionMetadata":
    """The options as metadata; a text given in one language stands for both."""
    from gis_service.routes.requests import calendar_day
    from layers.metadata import Approval, EditionMetadata

    return EditionMetadata(
        title=_text(title_zh, title_en),
        approval=Approval(
            authority=_text(authority, authority),
            document=document or None,
            date=calendar_day(date, "--approval-date") if date else None,
        ),
    )


def _text(zh: str | None, en: str | None) -> Text | None:
    first = zh or en
    return Text(zh=zh or first or "", en=en or first or "") if first else None


def describe(
    plan: Annotated[str, typer.Argument(help="Plan id, see: plans list")],
    edition: Annotated[int | None, typer.Argument(help="Draft edition; the plan's draft.")] = None,
    file: Annotated[Path | None, typer.Option(help="Metadata as YAML.")] = None,
    approval_document: ApprovalDocument = None,
    approval_date: ApprovalDate = None,
    approval_authority: ApprovalAuthority = None,
    title_zh: TitleZh = None,
    title_en: TitleEn = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Say who approved a draft and what it is called. Example: gis-service plans describe overall-plan --file meta.yml"""  # noqa: E501
    from gis_service import start
    from layers.catalog import load_catalog
    from layers.database import connect
    from layers.metadata import describe_draft, read_metadata

    settings = Settings()
    load_catalog(settings.config_dir).plan(plan)
    told = [read_metadata(file)] if file is not None else []
    told.append(
        said_of_edition(approval_document, approval_date, approval_authority, title_zh, title_en)
    )
    number = edition
    with (
        start.database(settings, say) as dsn,
        connect(dsn) as connection,
        connection.transaction(),
    ):
        for said in told:
            number = describe_draft(connection, plan, number, said)
    if json:
        show_json({"plan": plan, "edition": number, "state": "draft"})
    else:
        show(f"{plan}: edition {number} described")
