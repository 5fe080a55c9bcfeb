"""Errors that the user can correct, each as one line: the command line's own and those of the packages below."""

from __future__ import annotations

import errno
import sys

DOMAIN_ERRORS = (
    ("evotune_db", "DatabaseError"),
    ("evotune.space", "SpaceError"),
    ("evotune.export", "ExportError"),
    ("evotune.replay.recording", "RecordingError"),
    ("evotune.planning.locate", "UnknownKernel"),
    ("evotune.planning.locate", "UnknownSpace"),
    ("evotune_workers.kernel.folder", "KernelError"),
)
ENVIRONMENT_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS}


class UserError(Exception):
    """An error that the user can correct; its text is the one line that they see, and the exit code is 2."""


def last_line(error: BaseException) -> str:
    """Return the last line of a Ray error, whose text is a traceback from another process."""
    return str(getattr(error, "cause", None) or error).strip().splitlines()[-1]


def user_line(error: BaseException) -> str | None:
    """Return the line that tells the user of `error`; None for a fault of evotune itself, which needs its traceback."""
    if isinstance(error, (UserError, *_domain_errors())):
        return one_line(str(error))
    if isinstance(error, OSError) and error.errno in ENVIRONMENT_ERRNOS:
        where = f": {error.filename}" if error.filename else ""
        return one_line(f"{error.strerror}{where}; free space or choose a place that can be written to, and try again")
    return None


def one_line(text: str) -> str:
    """Return `text` with every run of white space, line ends included, as one blank."""
    return " ".join(text.split())


def _domain_errors() -> tuple[type[BaseException], ...]:
    """Return the domain errors of loaded modules; no other module can have raised one, so none is imported."""
    return tuple(getattr(sys.modules[module], name) for module, name in DOMAIN_ERRORS if module in sys.modules)
