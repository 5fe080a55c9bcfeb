"""Packages that `evotune export` wrote: loading one into this process, and verifying one."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from evotune.errors import UserError
from evotune.export.integrity import complaints


def load_package(folder: Path) -> Callable[..., Any]:
    """The function of an exported package; UserError when there is none, or it is not as it was exported.

    Several packages, of the same kernel too, can be loaded into one process.
    """
    package = _package(folder)
    for complaint in complaints(package):
        raise UserError(f"a package must be as it was exported, got {folder}: {complaint}; export it again")
    manifest = json.loads((package / "manifest.json").read_text())
    name = f"evotune_exported_{manifest['seal'][:12]}"
    module = sys.modules.get(name) or _import(name, package)
    function: Callable[..., Any] = getattr(module, manifest["kernel"])
    return function


def verify_package(folder: Path, skip_timing: bool, say: Callable[[str], object]) -> bool:
    """What the package's own verify.py does, in a process of its own, after evotune has checked its files."""
    package = _package(folder)
    found = list(complaints(package))
    for complaint in found:
        say(f"integrity   REFUSED: {complaint}")
    if found:
        say("NOT verified")
        return False
    options = ["--skip-timing"] if skip_timing else []
    sys.stdout.flush()
    command = [sys.executable, "-m", f"{package.name}.verification", *options]
    return subprocess.run(command, cwd=package.parent).returncode == 0


def _package(folder: Path) -> Path:
    """The package's folder, in the project's or itself."""
    manifests = sorted(folder.glob("manifest.json")) or sorted(folder.glob("*/manifest.json"))
    if len(manifests) != 1:
        raise UserError(f"the folder must be one that `evotune export` wrote, got {folder}: it has no manifest.json")
    return manifests[0].parent


def _import(name: str, package: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        name, package / "__init__.py", submodule_search_locations=[str(package)]
    )
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
