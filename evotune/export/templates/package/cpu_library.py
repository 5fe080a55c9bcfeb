"""Build and load the kernels of this package; needs Linux, torch and a C++ compiler with OpenMP (g++ or $CXX)."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from .integrity import digest, recorded_macros

_lock = threading.Lock()
_loaded: dict[tuple[Path, str], ctypes.CDLL] = {}


def load_library(folder: Path, manifest: Mapping[str, Any], kernel: str) -> ctypes.CDLL:
    """Load a kernel of the package `folder` once per process; build its library if there is none.

    Raises RuntimeError if the build fails, or if the library was built with another configuration.
    """
    with _lock:
        if (folder, kernel) not in _loaded:
            _loaded[folder, kernel] = _load(folder, manifest, kernel)
        return _loaded[folder, kernel]


def _load(folder: Path, manifest: Mapping[str, Any], kernel: str) -> ctypes.CDLL:
    path = _library_path(folder, manifest, kernel)
    if not path.is_file():
        _build(folder, kernel, path)
    _check_identity(path, manifest["kernels"][kernel]["macros"])
    _share_openmp_with_torch()
    return ctypes.CDLL(str(path))


def _library_path(folder: Path, manifest: Mapping[str, Any], kernel: str) -> Path:
    """Return the path that build.sh uses for a library of these files on this type of CPU.

    A comparison of dates would fail: pip keeps a library, which may be newer than the sources of the next version.
    """
    lines = Path("/proc/cpuinfo").read_bytes().splitlines(keepends=True)
    flags = next((line for line in lines if re.match(rb"flags|Features", line)), b"")
    sources = [name for name in manifest["source"]["files"] if name.startswith("sources/")]
    files = [(folder / name).read_bytes() for name in ("build.sh", f"configurations/{kernel}.h", *sources)]
    return folder / f"{kernel}-{digest(b''.join((flags, *files)))[:12]}.so"


def _build(folder: Path, kernel: str, path: Path) -> None:
    """Build under another name, then rename, so that a process that starts meanwhile never loads half a library."""
    try:
        handle, name = tempfile.mkstemp(suffix=".so.tmp", dir=folder)
    except OSError as error:
        raise RuntimeError(
            f"{folder} must be writable to build the kernel on first use, got: {error.strerror};"
            f" run {folder / 'build.sh'} {kernel} once as a user with write permission"
        ) from error
    os.close(handle)
    try:
        ran = subprocess.run(["sh", str(folder / "build.sh"), kernel, name], capture_output=True, text=True)
        if ran.returncode != 0:
            raise RuntimeError(
                f"{folder / 'build.sh'} must succeed, got exit code {ran.returncode}; set CXX to a C++ compiler with"
                f" OpenMP. Its output:\n{ran.stderr.strip()}"
            )
        Path(name).chmod(0o755)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def _share_openmp_with_torch() -> None:
    """Make the kernel use the same OpenMP runtime as torch.

    With two runtimes, each would have its own threads. Threads of OpenMP spin for a while after a parallel region and
    so take cores from the other runtime: a kernel that runs right after a torch operator can lose half its speed.

    Torch ships its own runtime, a libgomp whose file name may have a hash, and has loaded it for its own libraries
    only. Opening it again with RTLD_GLOBAL makes its symbols visible to all libraries that are loaded later, so the
    kernel's library uses them instead of the system's libgomp. The path depends on the packaging of torch, so it is
    read from this process's memory map. If torch was built without OpenMP, the kernel uses the system's runtime.
    """
    mapped = re.findall(r"\S*/lib(?:g|i|)omp[^/\s]*\.so\S*", Path("/proc/self/maps").read_text())
    torch_home = str(Path(torch.__file__).parent)  # torch/lib, or torch.libs beside it
    for path in sorted(set(mapped), key=lambda path: not path.startswith(torch_home)):
        ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)


def _check_identity(path: Path, macros: Mapping[str, str]) -> None:
    """Raise RuntimeError if the configuration in the binary's own record differs from the manifest's."""
    found = recorded_macros(path.read_bytes())
    for name in sorted({*macros, *found}):
        if found.get(name) != macros.get(name):
            raise RuntimeError(
                f"{path} must be built with {name}={macros.get(name)}, as manifest.json says, got"
                f" {name}={found.get(name)}; delete it to rebuild"
            )
