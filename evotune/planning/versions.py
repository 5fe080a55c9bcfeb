"""Versions of this installation and of a kernel's repository: a result depends on them, besides the device."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path

PACKAGES = ("evotune", "torch", "ray", "optuna", "numpy", "sqlalchemy")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a result depends on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def git_version(folder: Path, *without: str) -> dict[str, str | bool]:
    """Return the commit of the repository around a folder, and if the folder differs from it; empty outside git.

    Changes in the paths `without`, below the folder, are ignored.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return {}
    left_out = [f":(exclude){path}" for path in without]
    return {"commit": commit, "modified": bool(_git(folder, "status", "--porcelain", "--", ".", *left_out))}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        ran = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ran.stdout.strip() if ran.returncode == 0 else None
