"""One run of a compiler as a Build: what every compiler does with what it made, or failed to make."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from evotune_workers.compilers.build import Build, BuildRequest, Resources, hash_binary
from evotune_workers.system.temporary import temporary_folder


@dataclass(frozen=True)
class Attempt:
    """How a compiler ended: `failure` is one line or None, `read` gives the resource report and the binary it left.

    `read` raises ValueError or OSError when a field of the report, or the binary, is missing.
    """

    log: str
    failure: str | None
    read: Callable[[], tuple[Resources, bytes]]


def make_build(
    request: BuildRequest, key: str, flags: tuple[str, ...], compiler: str, run: Callable[[Path], Attempt]
) -> Build:
    """The Build that comes of running a compiler in a temporary folder of its own; OSError when the disk is full."""
    started = time.perf_counter()
    binary, resources = None, None
    with temporary_folder() as folder:
        attempt = run(folder)
        _require_space(attempt, folder)
        failure = attempt.failure
        if failure is None:
            try:
                resources, binary = attempt.read()
            except (ValueError, OSError) as error:
                failure = f"every field of the resource report must be found: {error}"
    return Build(
        key=key,
        target=request.target,
        flags=flags,
        compiler=compiler,
        seconds=time.perf_counter() - started,
        log=attempt.log,
        failure=failure,
        binary=binary,
        binary_hash=hash_binary(binary) if binary is not None else None,
        resources=resources,
    )


def _require_space(attempt: Attempt, folder: Path) -> None:
    """A full disk, or a quota that is used up, is no configuration's fault."""
    for number in (errno.ENOSPC, errno.EDQUOT):
        full = os.strerror(number)
        if attempt.failure is not None and full in attempt.log:
            raise OSError(number, full, str(folder))
