"""Builds and loads the kernels of this package. Needs Linux, torch and a C++ compiler with OpenMP (g++ or $CXX)."""

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
    """A kernel of the package `folder`, loaded once per process, built first when there is no library of it.

    Raises RuntimeError when it does not build, or when the binary was built with another configuration.
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
    """The name that build.sh gives what it makes of these files on this kind of CPU.

    Dates would not do: pip leaves a library behind that may be younger than the sources of what is installed next.
    """
    lines = Path("/proc/cpuinfo").read_bytes().splitlines(keepends=True)
    flags = next((line for line in lines if re.match(rb"flags|Features", line)), b"")
    sources = [name for name in manifest["source"]["files"] if name.startswith("sources/")]
    files = [(folder / name).read_bytes() for name in ("build.sh", f"configurations/{kernel}.h", *sources)]
    return folder / f"{kernel}-{digest(b''.join((flags, *files)))[:12]}.so"


def _build(folder: Path, kernel: str, path: Path) -> None:
    """Written under another name and renamed, so that processes starting together never load half a library."""
    try:
        handle, name = tempfile.mkstemp(suffix=".so.tmp", dir=folder)
    except OSError as error:
        raise RuntimeError(
            f"the kernel is built on first use, so {folder} must be writable then: {error.strerror};"
            f" run {folder / 'build.sh'} {kernel} once as a user who may write there"
        ) from error
    os.close(handle)
    try:
        ran = subprocess.run(["sh", str(folder / "build.sh"), kernel, name], capture_output=True, text=True)
        if ran.returncode != 0:
            raise RuntimeError(
                f"{folder / 'build.sh'} must succeed, got exit code {ran.returncode}; set CXX to a C++ compiler with"
                f" OpenMP. Its messages:\n{ran.stderr.strip()}"
            )
        Path(name).chmod(0o755)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def _share_openmp_with_torch() -> None:
    """Binds the kernel to the OpenMP runtime that torch itself uses.

    The kernel's threads are OpenMP's. Were it to load a runtime of its own, each would keep a set of threads, and
    those of one spin for a while after a parallel region, taking cores from the other: a kernel called right after a
    torch operator can lose half its speed to that. Torch brings its runtime (a libgomp, whose file name may carry a
    hash) and has loaded it, by `import torch` above, for its own libraries only. Opening it again with RTLD_GLOBAL
    makes its symbols visible to libraries loaded from now on, and the kernel's library binds to them rather than to
    the system's libgomp. The path is read from this process's memory map because it depends on how torch was packaged.
    A torch without OpenMP has none, and the kernel then uses the system's.
    """
    mapped = re.findall(r"\S*/lib(?:g|i|)omp[^/\s]*\.so\S*", Path("/proc/self/maps").read_text())
    torch_home = str(Path(torch.__file__).parent)  # torch/lib, or torch.libs beside it
    for path in sorted(set(mapped), key=lambda path: not path.startswith(torch_home)):
        ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)


def _check_identity(path: Path, macros: Mapping[str, str]) -> None:
    """The binary says which configuration it was built with; it must be the manifest's."""
    found = recorded_macros(path.read_bytes())
    for name in sorted({*macros, *found}):
        if found.get(name) != macros.get(name):
            raise RuntimeError(
                f"{path} must be built with {name}={macros.get(name)}, as manifest.json says, got"
                f" {name}={found.get(name)}; delete it to rebuild"
            )
