"""The worker that ``serve`` starts beside itself: ``python -m gis_service.jobs.child``.

Reads the environment as every process of the service does; ``DATABASE_URL`` is the owner's here,
while the serving processes may have one with fewer rights. Ends with its parent.
"""

import logging
import sys

from gis_service.jobs.worker import run_worker, stop_with_parent
from gis_service.settings import Settings
from layers.errors import GisError, Unavailable


def main() -> int:
    """Work until told to stop; the exit code tells the parent whether that is what happened."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    stop_with_parent(sys.stdin.fileno())
    settings = Settings()
    try:
        if settings.database_url is None:
            raise Unavailable("DATABASE_URL is not set.", "未设置 DATABASE_URL。")
        return 0 if run_worker(settings, settings.database_url) else 1
    except GisError as error:
        logging.getLogger(__name__).error("%s", error)
        return 2


if __name__ == "__main__":
    sys.exit(main())
