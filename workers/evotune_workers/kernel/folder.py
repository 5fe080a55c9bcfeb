"""A kernel as a folder: loading its `kernel.py`, and packing its content for nodes that do not have it."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import sys
import tarfile
import threading
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from evotune_workers.kernel.contract import Kernel, Workload

# Two threads that import one folder would unload each other's modules. Reentrant, since a kernel may load another one.
_IMPORTING = threading.RLock()
IGNORED = {"__pycache__", ".git", ".pytest_cache", ".mypy_cache", ".ruff_cache"}


class KernelError(ValueError):
    """A kernel folder cannot be used; the text tells its author why."""


@dataclass(frozen=True)
class KernelPackage:
    """A kernel folder by content: `archive` is a tar of its files compressed with zlib, `source_hash` their SHA-256."""

    name: str
    source_hash: str
    archive: bytes


def load_kernel(folder: Path) -> Kernel:
    """Return the one `Kernel` that `folder/kernel.py` defines.

    Raises KernelError when it defines none or several, or does not load.
    """
    path = folder / "kernel.py"
    if not path.is_file():
        raise KernelError(f"a kernel is a folder with a kernel.py, got {folder}: no such file {path}")
    with _IMPORTING:
        module = _import(path)
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Kernel) and value.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise KernelError(f"{path} must define exactly one subclass of Kernel, got {len(found)}")
    missing = sorted(found[0].__abstractmethods__)
    if missing:
        raise KernelError(f"{path}: {found[0].__name__} must define {', '.join(missing)}")
    return found[0]()


def pack_kernel(folder: Path) -> KernelPackage:
    """Return the folder's content, as the same bytes for the same files on every machine."""
    buffer = io.BytesIO()
    digest = hashlib.sha256()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in _files(folder):
            relative, content = path.relative_to(folder).as_posix(), path.read_bytes()
            digest.update(f"{relative}\0{len(content)}\0".encode() + content)
            entry = tarfile.TarInfo(relative)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return KernelPackage(load_kernel(folder).name, digest.hexdigest(), zlib.compress(buffer.getvalue()))


def named_workload(kernel: Kernel, name: str) -> Workload:
    """Return the kernel's workload of that name; the KernelError for an unknown one lists the known ones."""
    for workload in kernel.workloads:
        if workload.name == name:
            return workload
    known = ", ".join(workload.name for workload in kernel.workloads)
    raise KernelError(f"workload must be one of {known}, got {name}")


def _import(path: Path) -> ModuleType:
    """Import a `kernel.py` as a package, reading all of its files anew at every call.

    As a package it finds the folder's other files by `from .inputs import ...`.
    """
    name = f"evotune_kernel_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    for loaded in [module for module in sys.modules if module.startswith(f"{name}.")]:
        del sys.modules[loaded]
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=[str(path.parent)])
    if spec is None or spec.loader is None:
        raise KernelError(f"a kernel.py must be importable Python, got {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look up their module there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise KernelError(f"{path} does not load: {type(error).__name__}: {error}") from error
    return module


def _files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not IGNORED.intersection(path.relative_to(folder).parts)
    )
