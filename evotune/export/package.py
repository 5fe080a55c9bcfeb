"""Write a package: make every file in memory first, then create the folder completely or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from evotune.export.contents import Served, assemble
from evotune.export.evidence import ExportError
from evotune.export.export_target import export_target
from evotune.export.files import package_files
from evotune_workers.compilers.build import ToolchainError


def export_package(served: Sequence[Served], out: Path, architectures: Sequence[str] = ()) -> None:
    """Write an installable Python package with sources, binaries, manifest, README and verification to `out`.

    All of `served` must have the same kernel and target. A CUDA kernel gets binaries for the measured architecture and
    for `architectures`. `out` must not exist, or be empty. The kernel's folder must have `export/` with function.py,
    dispatch.py, checks.py, usage.md and `<variant>.py`, which launches. Other Python files there are copied, too.

    Raises ExportError if something is missing, if the sources or the binary differ from the measured ones, if nvcc is
    needed but missing, or if the disk is full; `out` is then unchanged. Raises KernelError if the kernel's folder does
    not load.
    """
    _check_out(out)
    target = export_target(served[0].entry.target)
    try:
        contents = assemble(served, target, architectures)
    except ToolchainError as error:
        raise ExportError(str(error)) from error
    _write_whole(out, package_files(contents, target))


def _check_out(out: Path) -> None:
    if out.is_dir() and any(out.iterdir()):
        raise ExportError(f"the folder to export to must be new or empty, got {out}; choose another")
    if not out.is_dir() and os.path.lexists(out):
        raise ExportError(f"the folder to export to must be new or empty, got the file {out}; choose another")
    if out.is_dir() and out.samefile(Path.cwd()):
        # The folder is replaced by a rename, so a shell in it would be left in a deleted folder.
        raise ExportError("the folder to export to must not be the current one; name a new one")


def _write_whole(out: Path, files: Mapping[str, bytes]) -> None:
    """Write beside `out`, then rename: after a full disk or a kill there is no incomplete folder with that name."""
    out = out.resolve()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        try:
            _write(fresh, files)
            fresh.rename(out)  # replaces at most an empty folder
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    except OSError as error:
        raise ExportError(_explanation(out, error)) from error


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.chmod(0o777 & ~_umask())  # mkdtemp makes a folder that only the user can read
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # some file systems report a full disk only here
    for script in folder.glob("*/build.sh"):
        script.chmod(0o777 & ~_umask())


def _umask() -> int:
    """Return the umask; it can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _explanation(out: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk must have room for the exported folder, {out.parent} is full; free some or choose another"
    return f"the exported folder must be writable, got {out}: {error.strerror}; choose another"
