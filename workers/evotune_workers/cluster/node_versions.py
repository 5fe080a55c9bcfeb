"""The versions that a cluster's nodes must share with the machine that a search is run from, beside our own code."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata

# Ray needs the same of itself and of Python; results depend on torch, and inputs on numpy.
PACKAGES = ("ray", "torch", "numpy")


def node_versions() -> dict[str, str]:
    """Return the versions on this node, without the name of the build: 2.13.0 for 2.13.0+cu130."""
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package).partition("+")[0]
        except metadata.PackageNotFoundError:
            found[package] = "none"
    return found


def difference(here: Mapping[str, str], there: Mapping[str, str]) -> str | None:
    """Return the first version in which another node differs, as an error; None where all are the same."""
    for name, version in here.items():
        if there.get(name) != version:
            return f"{name} must be {version} as here, got {there.get(name)}"
    return None
