"""OGC processes: what each is asked, what it gives, and how it runs, sync or as a job."""

from collections.abc import Mapping
from typing import Final

from gis_service.processes.conflict_check import CONFLICT_CHECK
from gis_service.processes.echo import ECHO
from gis_service.processes.impact import IMPACT
from gis_service.processes.plan_comparison import PLAN_COMPARISON
from gis_service.processes.process import Process as Process
from layers.errors import NotFound

PROCESSES: Final[Mapping[str, Process]] = {
    one.id: one for one in (CONFLICT_CHECK, IMPACT, PLAN_COMPARISON, ECHO)
}


def process_named(process_id: str) -> Process:
    """The process of that id, or ``NotFound``."""
    found = PROCESSES.get(process_id)
    if found is None:
        raise NotFound(
            f"There is no process '{process_id[:80]}'. There are: {', '.join(PROCESSES)}.",
            f"没有处理服务“{process_id[:80]}”。可用：{'、'.join(PROCESSES)}。",
            code="no-such-process",
        )
    return found
