"""``serve`` and ``demo``."""

import multiprocessing
import socket
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer
from granian import Granian
from granian.constants import Interfaces

from gis_service import start
from gis_service.checking import CheckRequest, check
from gis_service.commands.terminal import language, progress_bar, say, show, show_json
from gis_service.commands.verdict import verdict_lines
from gis_service.demo_load import load_demo
from gis_service.demo_province import sample_sites
from gis_service.settings import Settings
from layers.catalog import load_catalog
from layers.database import connect
from layers.errors import Unavailable


class DemoScale(StrEnum):
    """Sizes of the demo province."""

    small = "small"
    province = "province"


_SCALE_HELP: Final = "small: about 20 thousand polygons; province: about 1.5 million."


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    workers: Annotated[int | None, typer.Option(help="Server processes.")] = None,
    no_demo: Annotated[
        bool, typer.Option(help="Do not load the demo into an empty library.")
    ] = False,
) -> None:
    """Start the service (and the embedded PostGIS); loads the demo into an empty library.

    Example: gis-service serve --port 8000
    """
    settings = _with_options(host, port, workers)
    began = time.monotonic()
    _refuse_taken_port(settings)
    with start.database(settings, say) as dsn:
        if start.is_empty(dsn) and not no_demo:
            _build_demo(settings, dsn, DemoScale.small)
        _show_sample_verdict(settings, dsn)
        start.hand_down(settings, dsn)
        show(f"http://{_shown_host(settings)}:{settings.port}  ({time.monotonic() - began:.1f} s)")
        # Workers begin afresh: a forked one would inherit this process's fork server as its own.
        multiprocessing.set_start_method("spawn", force=True)
        Granian(
            "gis_service.serving:make_app",
            factory=True,
            address=settings.host,
            port=settings.port,
            interface=Interfaces.ASGI,
            workers=settings.workers,
            websockets=False,
            log_access=False,
        ).serve()


def _with_options(host: str | None, port: int | None, workers: int | None) -> Settings:
    given = {"host": host, "port": port, "workers": workers}
    return Settings().model_copy(update={k: v for k, v in given.items() if v is not None})


def _shown_host(settings: Settings) -> str:
    return "localhost" if settings.host in ("127.0.0.1", "0.0.0.0", "::") else settings.host


def _refuse_taken_port(settings: Settings) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise Unavailable(
                f"Port {settings.port} is taken or not allowed ({error.strerror}); choose another: "
                "make run PORT=8001",
                f"端口 {settings.port} 已被占用或不可用（{error.strerror}）；请换一个："
                "make run PORT=8001",
                code="port-taken",
            ) from error


def demo(
    scale: Annotated[DemoScale, typer.Option(help=_SCALE_HELP)] = DemoScale.small,
    json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Build the synthetic demo province and publish it; a running service goes on serving.

    Example: gis-service demo --scale province
    """
    settings = Settings()
    with start.database(settings, say) as dsn:
        counts = _build_demo(settings, dsn, scale)
    if json:
        show_json(counts)
    else:
        for layer, count in sorted(counts.items()):
            show(f"{count:>10,}  {layer}")
        show(f"{sum(counts.values()):>10,}")


def _build_demo(settings: Settings, dsn: str, scale: DemoScale) -> dict[str, int]:
    say(
        "正在生成演示省份（全部为虚构数据）……"
        if language() == "zh"
        else "Building the demo province (all data are synthetic) ..."
    )
    coast: Path | None = start.coast_file(settings)
    with connect(dsn) as connection, progress_bar() as report:
        return load_demo(
            connection,
            load_catalog(settings.config_dir),
            start.service_config(settings),
            scale.value,
            coast,
            report,
        )


def _show_sample_verdict(settings: Settings, dsn: str) -> None:
    """Check the first sample site and say its verdict in plain words."""
    site = sample_sites()[0]
    one_process = settings.model_copy(update={"check_processes": 1, "pool_size": 1})
    with start.library(one_process, dsn) as library:
        if not library.in_force().layers:
            return
        report = check(library, CheckRequest(site.feature), store=False)
    show(site.title.in_language(language()))
    for line in verdict_lines(report, language()):
        show(line)
