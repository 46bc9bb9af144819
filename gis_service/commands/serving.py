"""``serve`` and ``demo``."""

import json as json_module
import multiprocessing
import socket
import threading
import time
import urllib.error
import urllib.request
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gis_service.commands.terminal import language, progress_bar, say, show, show_json
from gis_service.settings import Settings, load_service_config
from layers.errors import Unavailable

if TYPE_CHECKING:
    from gis_service.jobs.supervisor import WorkerSupervisor

_UP_WITHIN_S: Final = 120.0


class AccessChoice(StrEnum):
    """Who is answered: each class of layers has a database role of its own."""

    public = "public"
    internal = "internal"
    restricted = "restricted"


class DemoScale(StrEnum):
    """Sizes of the demo province."""

    small = "small"
    province = "province"


_SCALE_HELP: Final = "small: about 20 thousand polygons; province: about 1.5 million."


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port to listen on.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Server processes.")] = None,
    demo: Annotated[bool, typer.Option(help="Load the demo into an empty library.")] = True,
    access: Annotated[
        AccessChoice | None, typer.Option(help="Layers up to this class are shown.")
    ] = None,
    worker: Annotated[bool, typer.Option(help="Run a job worker beside the service.")] = True,
) -> None:
    """Start the service (and the embedded PostGIS); loads the demo into an empty library.

    Example: gis-service serve --port 8000
    """
    from granian import Granian
    from granian.constants import Interfaces
    from granian.log import LogLevels

    from gis_service import start
    from gis_service.jobs.supervisor import worker_beside
    from gis_service.service_login import service_address

    began = time.monotonic()
    settings = _with_options(host, port, workers, access)
    _refuse_taken_port(settings)
    with start.database(settings, say) as dsn:
        if demo and start.is_empty(dsn):
            _build_demo(settings, dsn, DemoScale.small)
            publish_keys(dsn)
        jobs = _worker_for(settings, dsn) if worker else None
        start.hand_down(settings, service_address(settings, dsn))
        threading.Thread(target=_announce, args=(settings, began), daemon=True).start()
        # Workers begin afresh: a forked one would share this process's sockets and threads.
        multiprocessing.set_start_method("spawn", force=True)
        with worker_beside(jobs):
            Granian(
                "gis_service.serving:make_app",
                factory=True,
                address=settings.host,
                port=settings.port,
                interface=Interfaces.ASGI,
                workers=settings.workers,
                websockets=False,
                log_access=False,
                log_level=LogLevels.warning,
            ).serve()


def publish_keys(dsn: str) -> None:
    """Make a key of each role for a fresh demo and print them, this once."""
    from gis_service import access_keys
    from layers.database import connect

    with connect(dsn) as connection:
        if access_keys.listed(connection):
            return
        made = [(role, access_keys.create(connection, f"demo {role}", role)[1])
                for role in access_keys.ROLES]  # fmt: skip
    is_chinese = language() == "zh"
    show("\n演示密钥（只显示这一次）：" if is_chinese else "\nKeys of the demo (shown this once):")
    for role, secret in made:
        show(f"  {role:<8} {secret}")


def _worker_for(settings: Settings, dsn: str) -> "WorkerSupervisor":
    """A job worker with the owner's address of the database; starts when the service is up."""
    from gis_service.jobs.supervisor import WorkerSupervisor

    return WorkerSupervisor(dsn, when_up=lambda: _is_up(_local_address(settings)))


def _with_options(
    host: str | None, port: int | None, workers: int | None, access: AccessChoice | None
) -> Settings:
    given = {
        "host": host, "port": port, "workers": workers, "access": access and access.value,
    }  # fmt: skip
    return Settings().model_copy(update={k: v for k, v in given.items() if v is not None})


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


def _announce(settings: Settings, began: float) -> None:
    """Say where the service is once it answers, and show it working on one sample site."""
    address = _local_address(settings)
    if not _is_up(address):
        return
    show(f"\n{address}   ({time.monotonic() - began:.1f} s)")
    try:
        samples = _ask(f"{address}/samples")
        if samples:
            _show_sample_verdict(address, samples[0])
    except OSError:
        return  # stopped meanwhile


def _local_address(settings: Settings) -> str:
    local = "localhost" if settings.host in ("127.0.0.1", "0.0.0.0", "::") else settings.host
    return f"http://{local}:{settings.port}"


def _is_up(address: str) -> bool:
    until = time.monotonic() + _UP_WITHIN_S
    while time.monotonic() < until:
        try:
            _ask(f"{address}/readyz")
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False


def _ask(url: str, body: Any = None) -> Any:
    content = None if body is None else json_module.dumps(body).encode()
    request = urllib.request.Request(
        url, content, {"Accept": "application/json", "Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json_module.load(answer)


def _show_sample_verdict(address: str, sample: dict[str, Any]) -> None:
    """Check the first sample site over HTTP and say its verdict in plain words."""
    from gis_service.commands.verdict import verdict_lines

    feature = _ask(address + sample["href"])
    inputs = {"inputs": {"submission": feature}}
    report = _ask(f"{address}/ogc/processes/conflict-check/execution", inputs)
    show(sample["title"][language()])
    for line in verdict_lines(report, language()):
        show(line)
    show(f"  {address}/reports/{report['report_id']}.html")


def build_demo(
    scale: Annotated[DemoScale, typer.Option(help=_SCALE_HELP)] = DemoScale.small,
    json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Build the synthetic demo province and publish it; a running service goes on serving.

    Example: gis-service demo --scale province
    """
    from gis_service import start

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
    from gis_service import start
    from gis_service.demo_load import load_demo
    from gis_service.demo_province import SEED
    from gis_service.demo_province.rasters import write_rasters
    from layers.catalog import load_catalog
    from layers.database import connect

    say(
        "正在生成演示省份（全部为虚构数据）……"
        if language() == "zh"
        else "Building the demo province (all data are synthetic) ..."
    )
    with connect(dsn) as connection, progress_bar() as report:
        write_rasters(settings.data_dir / "rasters", SEED, start.coast_file(settings), report)
        return load_demo(
            connection,
            load_catalog(settings.config_dir),
            load_service_config(settings.config_dir),
            scale.value,
            start.coast_file(settings),
            report,
        )
