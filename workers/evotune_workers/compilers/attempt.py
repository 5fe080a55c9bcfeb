"""From one run of a compiler to a Build: the part that all compilers share."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from evotune_workers.compilers.build import Build, BuildRequest, Resources, hash_binary
from evotune_workers.compilers.sources import DEPENDENCIES, unhashed_file
from evotune_workers.system.temporary import temporary_folder


@dataclass(frozen=True)
class Attempt:
    """One run of a compiler: `failure` is None or one line, `read` returns the resource report and the binary.

    `read` raises ValueError or OSError when a field of the report, or the binary, is missing. `lasting` is False if
    the binary depends on files that its key does not cover.
    """

    log: str
    failure: str | None
    read: Callable[[], tuple[Resources, bytes]]
    lasting: bool


def make_build(
    request: BuildRequest, key: str, flags: tuple[str, ...], compiler: str, run: Callable[[Path], Attempt]
) -> tuple[Build, bool]:
    """Run a compiler in a temporary folder of its own; return its Build and True if it may be stored under its key.

    Raises OSError when the disk is full.
    """
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
    build = Build(
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
    return build, attempt.lasting


def unhashed_failure(written_in: Path, run_in: Path, request: BuildRequest) -> str | None:
    """Return the failure of a build that depends on a file of the kernel which its key does not cover."""
    name = unhashed_file(written_in / DEPENDENCIES, run_in, request.folder, request.program.sources)
    if name is None:
        return None
    return f"every file that a build opens must be known before, got {name}: name it in the variant's sources"


def _require_space(attempt: Attempt, folder: Path) -> None:
    """Raise OSError for a full disk or an exhausted quota, which is no configuration's fault."""
    for number in (errno.ENOSPC, errno.EDQUOT):
        full = os.strerror(number)
        if attempt.failure is not None and full in attempt.log:
            raise OSError(number, full, str(folder))
