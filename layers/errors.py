"""All errors of the project, one tree.

::

    GisError
    ├── NotFound             plan, layer, edition, feature, rule, report: not there for this caller
    ├── BadInput             the caller can mend it
    │   ├── BadParameter     a parameter of a request or command
    │   ├── UnreadableFile   the file is not what it says, is cut short, is empty
    │   ├── CrsRefused       CRS unknown, not admitted without a stated transformation, mismatch
    │   ├── InvalidGeometry  with the reason and the position of the fault
    │   └── LimitExceeded    too many vertices, parts, bytes
    ├── NotAuthenticated     a key is needed, or the one that was shown is not valid
    ├── NotAllowed           the caller's key has not the role for it
    ├── TooManyRequests      the caller has used up its limit; says how long to wait
    ├── Conflict             the state of the library does not admit it (not a draft, blocked)
    ├── GaveUp               a killable child ran out of time or memory, or crashed
    ├── BadConfiguration     a file under config/ is wrong; names the file and the key
    └── Unavailable          the database or the machine cannot do it now

``gis_service.problems`` holds the one table from class to HTTP status. Problems of *data*
(rows of an import, findings of a check) are not exceptions; they are rows with a reason.
"""

import errno
from dataclasses import dataclass

from layers.text import Text


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the input the fault is: a JSON pointer, ``row 17 field DLBM``, a coordinate."""

    at: str
    reason: Text


class GisError(Exception):
    """Base of all errors; the message exists in Chinese and English and says what to do."""

    code = "error"

    def __init__(
        self, en: str, zh: str, *, code: str | None = None, places: tuple[Place, ...] = ()
    ) -> None:
        """Take both texts, an optional more exact code, and the places of the faults."""
        super().__init__(en)
        self.text = Text(zh=zh, en=en)
        self.places = places
        if code is not None:
            self.code = code

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the way back from a child process whole."""
        return _rebuild, (type(self), self.text, self.code, self.places)


def _rebuild(kind: type[GisError], text: Text, code: str, places: tuple[Place, ...]) -> GisError:
    return kind(text.en, text.zh, code=code, places=places)


class NotFound(GisError):
    """Not there, or not there for this caller: both answers are the same."""

    code = "not-found"


class BadInput(GisError):
    """The input is wrong; the caller can mend it."""

    code = "bad-input"


class BadParameter(BadInput):
    """A parameter has a wrong form or value."""

    code = "bad-parameter"


class UnreadableFile(BadInput):
    """The file is not of the format its name says, is cut short, empty or hostile."""

    code = "unreadable-file"


class CrsRefused(BadInput):
    """The coordinate reference system is unknown, not admitted, or does not fit the numbers."""

    code = "crs-refused"


class InvalidGeometry(BadInput):
    """The geometry is invalid; it is refused with reason and position, never silently mended."""

    code = "invalid-geometry"


class LimitExceeded(BadInput):
    """The input is larger than the published limits."""

    code = "limit-exceeded"


class NotAuthenticated(GisError):
    """Who calls is not known, and that is needed."""

    code = "not-authenticated"


class NotAllowed(GisError):
    """The caller is known and may not."""

    code = "not-allowed"


class TooManyRequests(GisError):
    """The caller has used up its limit."""

    code = "too-many-requests"

    def __init__(
        self,
        en: str,
        zh: str,
        *,
        retry_after_s: float = 1.0,
        code: str | None = None,
        places: tuple[Place, ...] = (),
    ) -> None:
        """Take both texts and how long to wait, in seconds."""
        super().__init__(en, zh, code=code, places=places)
        self.retry_after_s = retry_after_s


class Conflict(GisError):
    """The state of the library does not admit the change."""

    code = "conflict"


class GaveUp(GisError):
    """A child process ran past its deadline or memory, or crashed; nothing was stored."""

    code = "gave-up"


class BadConfiguration(GisError):
    """A configuration file is wrong."""

    code = "bad-configuration"


class Unavailable(GisError):
    """The database or the machine cannot do it now."""

    code = "unavailable"


def is_disk_full(error: BaseException) -> bool:
    """Whether a file could not grow, here or in the database (SQLSTATE 53100)."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return full or getattr(error, "sqlstate", None) == "53100"


def disk_full() -> Unavailable:
    """The one answer to a full disk, wherever it is noticed."""
    return Unavailable(
        "The disk is full (that of the database or of temporary files, TMPDIR); what was in force "
        "stays so and nothing is stored half. Free some space and try again.",
        "磁盘空间不足（数据库或临时文件目录 TMPDIR 所在磁盘）；现行数据未变，未存储不完整的内容。"
        "请腾出空间后重试。",
        code="disk-full",
    )
