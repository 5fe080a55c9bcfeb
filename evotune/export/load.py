"""Load an exported package into this process, or verify one."""

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
    """Return the function of an exported package. Raises UserError if there is no package, or a file was changed.

    Several packages can be loaded into one process, even of the same kernel.
    """
    package = _package(folder)
    for complaint in complaints(package):
        raise UserError(f"a package must be unchanged since its export, got {folder}: {complaint}; export it again")
    manifest = json.loads((package / "manifest.json").read_text())
    name = f"evotune_exported_{manifest['seal'][:12]}"
    module = sys.modules.get(name) or _import(name, package)
    function: Callable[..., Any] = getattr(module, manifest["kernel"])
    return function


def verify_package(folder: Path, skip_timing: bool, say: Callable[[str], object]) -> bool:
    """Check the files of a package, then run its own verification in a new process; return True if it succeeds."""
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
    """Return the folder of the package: `folder` itself, or the one inside this project."""
    manifests = sorted(folder.glob("manifest.json")) or sorted(folder.glob("*/manifest.json"))
    if len(manifests) != 1:
        raise UserError(f"the folder must be an exported package, got {folder} without a manifest.json; name another")
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
