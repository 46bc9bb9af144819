"""``quotas``: the ledger of what may still be built on."""

from typing import Annotated, Any

import typer

from gis_service.commands.terminal import say, show, show_json
from gis_service.settings import Settings
from layers.errors import BadParameter

app = typer.Typer(
    help="Quotas (指标): granted, reserved by approvals, booked.", no_args_is_help=True
)

_Ledger = Annotated[str, typer.Argument(help="Ledger, e.g. new_construction_land.")]
_Unit = Annotated[str, typer.Argument(help="Division code, e.g. 469021.")]
_Period = Annotated[str, typer.Argument(help="Name of the period, e.g. 2021-2035.")]
_Class = Annotated[str, typer.Option("--land-class", help="Land-use code; * = all together.")]
_Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


@app.command(name="list")
def list_quotas(
    ledger: Annotated[str | None, typer.Option(help="Of one ledger.")] = None,
    admin_code: Annotated[str | None, typer.Option(help="Of one unit.")] = None,
    as_of: Annotated[str | None, typer.Option(help="Whose period holds the day.")] = None,
    json: _Json = False,
) -> None:
    """Quotas with what is left. Example: gis-service quotas list --admin-code 469021"""
    from gis_service import start
    from gis_service.routes.requests import calendar_day
    from gis_service.submissions import ledger as ledgers
    from layers.database import connect

    day = calendar_day(as_of, "--as-of") if as_of else None
    with start.database(Settings(), say) as dsn, connect(dsn) as connection:
        found = ledgers.list_quotas(connection, ledger=ledger, admin_code=admin_code, as_of=day)
    if json:
        show_json({"quotas": found})
        return
    for one in found:
        show(_line(one))


def _line(one: dict[str, Any]) -> str:
    name = f"{one['ledger']:<24} {one['admin_code']:<8} {one['period']:<10} {one['land_class']:<5}"
    figures = "".join(
        f" {word} {one[f'{word}_m2']:>15,.2f}"
        for word in ("granted", "reserved", "booked", "remaining")
    )
    return f"{name}{figures} m2"


@app.command(name="set")
def set_quota(
    ledger: _Ledger,
    admin_code: _Unit,
    period: _Period,
    area_m2: Annotated[str, typer.Argument(help="What it grants in all, square metres.")],
    officer: Annotated[str, typer.Option(help="Who grants; stays in the ledger.")],
    first: Annotated[str, typer.Option("--from", help="First day of the period.")],
    last: Annotated[str, typer.Option("--to", help="Last day of the period.")],
    land_class: _Class = "*",
    reason: Annotated[str | None, typer.Option(help="Document or reason.")] = None,
    json: _Json = False,
) -> None:
    """Grant a quota, or change what it grants by one more entry.

    Example: gis-service quotas set new_construction_land 469021 2021-2035 4600000
    --from 2021-01-01 --to 2035-12-31 --officer "Wang"
    """
    from decimal import Decimal, InvalidOperation

    from gis_service import start
    from gis_service.routes.requests import calendar_day
    from gis_service.submissions import ledger as ledgers
    from gis_service.submissions.ledger import Posting, QuotaName
    from layers.database import connect

    try:
        area = Decimal(area_m2)
    except InvalidOperation as error:
        raise BadParameter(
            f"'{area_m2}' is no number of square metres.", f"“{area_m2}”不是平方米数。"
        ) from error
    name = QuotaName(ledger, admin_code, period, land_class)
    days = (calendar_day(first, "--from"), calendar_day(last, "--to"))
    with start.database(Settings(), say) as dsn, connect(dsn) as connection:
        quota_id = ledgers.set_quota(connection, name, days, area, Posting(officer, reason=reason))
        found = ledgers.list_quotas(connection, ledger=ledger, admin_code=admin_code)
    one = next(quota for quota in found if quota["id"] == quota_id)
    if json:
        show_json(one)
    else:
        show(_line(one))


@app.command()
def entries(
    ledger: _Ledger, admin_code: _Unit, period: _Period, land_class: _Class = "*",
    json: _Json = False,
) -> None:  # fmt: skip
    """What was granted, reserved, released and booked, by whom.

    Example: gis-service quotas entries new_construction_land 469021 2021-2035
    """
    from gis_service import start
    from gis_service.submissions import ledger as ledgers
    from gis_service.submissions.ledger import QuotaName
    from layers.database import connect

    name = QuotaName(ledger, admin_code, period, land_class)
    with start.database(Settings(), say) as dsn, connect(dsn) as connection:
        found = ledgers.entries(connection, ledgers.quota_id_of(connection, name), most=100_000)
    if json:
        show_json({"entries": found})
        return
    for one in found:
        show(
            f"{one['number']:>5} {one['at']} {one['kind']:<8} {one['area_m2']:>15,.2f} m2  "
            f"{one['actor']}  {one['submission_id'] or ''}  {one['reason'] or ''}".rstrip()
        )
