"""Writing an exported kernel: every file is made first, then the folder appears whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from evotune_db.records import LeaderboardEntry, TrialDetails

from .evidence import Evidence, ExportError, gather
from .manifest import manifest
from .readme import readme
from .targets import TEMPLATES, ExportTarget, build_script, configuration_header, export_target

COMMON_TEMPLATES = ("verify.py", "verify_timing.py")


def export_trial(details: TrialDetails, entry: LeaderboardEntry, kernel_folder: Path, out: Path) -> None:
    """Writes the folder `out`: source, configuration, build script, Python module, manifest, README and verify.py.

    `entry` is the trial's leaderboard entry at one workload, `kernel_folder` the folder that it was measured from;
    `out` must not exist, or be empty. The kernel's folder supplies `export/<variant>.py` (becomes the Python module),
    `export/checks.py` (what verify.py checks with) and `export/usage.md`. Raises ExportError, and leaves `out` as it
    was, when anything is missing, the sources have changed since they were measured, or the disk is full; KernelError
    when the kernel's folder does not load.
    """
    _check_out(out)
    target = export_target(entry.target)
    evidence = gather(details, entry, kernel_folder, target.variant)
    _write_whole(out, _files(evidence, target))


def _check_out(out: Path) -> None:
    if out.is_dir() and any(out.iterdir()):
        raise ExportError(f"the folder to export to must be new or empty, got {out}; choose another")
    if not out.is_dir() and os.path.lexists(out):
        raise ExportError(f"the folder to export to must be new or empty, got the file {out}; choose another")
    if out.is_dir() and out.samefile(Path.cwd()):
        # It is replaced by rename, and a shell that stands in it would be left in the one that is gone.
        raise ExportError("the folder to export to must not be the current one; name a new one")


def _files(evidence: Evidence, target: ExportTarget) -> Mapping[str, bytes]:
    """Every file of the export by name."""
    own = _kernel_files(evidence)
    sources = {name: (evidence.folder / name).read_bytes() for name in evidence.variant.sources}
    compiled = {**sources, "configuration.h": configuration_header(evidence).encode()}
    record = json.dumps(manifest(evidence, compiled), indent=2) + "\n"
    return {
        **compiled,
        **{name: (TEMPLATES / name).read_bytes() for name in COMMON_TEMPLATES},
        f"{evidence.kernel.name}.py": own[f"{evidence.variant.name}.py"],
        "checks.py": own["checks.py"],
        target.library.name: target.library.read_bytes(),
        "build.sh": build_script(evidence, target).encode(),
        "manifest.json": record.encode(),
        "README.md": readme(evidence, target, own["usage.md"].decode()).encode(),
    }


def _kernel_files(evidence: Evidence) -> dict[str, bytes]:
    """What the kernel's author supplies for export."""
    folder = evidence.folder / "export"
    names = (f"{evidence.variant.name}.py", "checks.py", "usage.md")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        wanted = ", ".join(names)
        raise ExportError(f"a kernel needs {wanted} in {folder} to be exported, missing: {', '.join(missing)}")
    return {name: (folder / name).read_bytes() for name in names}


def _write_whole(out: Path, files: Mapping[str, bytes]) -> None:
    """Written beside `out` and renamed to it: a full disk or a kill leaves no half-written folder under that name."""
    out = out.resolve()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        try:
            _write(fresh, files)
            fresh.rename(out)  # onto nothing, or onto an empty folder
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    except OSError as error:
        raise ExportError(_explanation(out, error)) from error


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.chmod(0o777 & ~_umask())  # mkdtemp's is private to the user
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # some file systems report a full disk only here
    (folder / "build.sh").chmod(0o777 & ~_umask())


def _umask() -> int:
    """Reading it means setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _explanation(out: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk must have room for the exported folder, {out.parent} is full; free some or choose another"
    return f"the exported folder must be writable, got {out}: {error.strerror}; choose another"
