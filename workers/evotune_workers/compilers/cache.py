"""Builds on disk by content address, written atomically and checked when read."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from evotune_workers.compilers.build import Build, Resources, hash_binary
from evotune_workers.system.cache import cache_folder, unfinished

# Part of the path, so that a new format never reads the files of an older one.
FORMAT = "v2"


def cached(key: str, make: Callable[[], tuple[Build, bool]]) -> Build:
    """Return the stored build of that key, or else make it; store it unless it failed or may not be stored."""
    path = cache_folder() / "builds" / FORMAT / key[:2] / key
    found = _read(path)
    if found is not None:
        return found
    build, lasting = make()
    if build.failure is None and lasting:
        # A full or read-only cache costs time, never a result.
        with contextlib.suppress(OSError):
            _write(path, build)
    return build


def _read(path: Path) -> Build | None:
    """Return the build in a file, or None when it is absent or damaged."""
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
