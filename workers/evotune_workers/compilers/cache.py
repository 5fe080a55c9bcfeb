"""Builds on disk, by content address: written whole or not at all, checked when read."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from evotune_workers.compilers.build import Build, Resources, hash_binary
from evotune_workers.system.cache import cache_folder, unfinished

# Part of the path: a change of the format never reads what an older one wrote.
FORMAT = "v1"


def cached(key: str, make: Callable[[], Build]) -> Build:
    """The stored build of that key, else what `make` returns, stored. Failures are not stored."""
    path = cache_folder() / "builds" / FORMAT / key[:2] / key
    found = _read(path)
    if found is not None:
        return found
    build = make()
    if build.failure is None:
        # A full or read-only cache costs time, never a result.
        with contextlib.suppress(OSError):
            _write(path, build)
    return build


def _read(path: Path) -> Build | None:
    """None when absent, or when what is there is not what was written."""
    try:
        header, _, binary = path.read_bytes().partition(b"\n")
        fields = json.loads(header)
        build = Build(**{**fields, "flags": tuple(fields["flags"]), "resources": Resources(**fields["resources"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return replace(build, binary=binary) if hash_binary(binary) == build.binary_hash else None


def _write(path: Path, build: Build) -> None:
    assert build.binary is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    header = json.dumps({**asdict(replace(build, binary=None))}).encode()
    with unfinished() as folder:
        file = folder / "build"
        file.write_bytes(header + b"\n" + build.binary)
        file.replace(path)
