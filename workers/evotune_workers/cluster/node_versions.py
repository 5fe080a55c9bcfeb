"""What the nodes of a cluster must have in common with the machine that a search is run from, beside our own code."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata

# Ray needs the same of itself and of Python; results depend on torch, and inputs on numpy.
PACKAGES = ("ray", "torch", "numpy")


def node_versions() -> dict[str, str]:
    """Of this node. A version ends where a build's own name begins: 2.13.0 of 2.13.0+cu130."""
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package).partition("+")[0]
        except metadata.PackageNotFoundError:
            found[package] = "none"
    return found


def difference(here: Mapping[str, str], there: Mapping[str, str]) -> str | None:
    """The first version that another node has otherwise, in words; None where all are the same."""
    for name, version in here.items():
        if there.get(name) != version:
            return f"{name} must be {version} as here, got {there.get(name)}"
    return None
