"""Whether a package is what evotune wrote: every file by its hash, the manifest by its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FORMAT = 3
_MARK = b"evotune-configuration:"
_RECORD_BYTES = 1024


def complaints(folder: Path) -> Iterator[str]:
    """One line for everything in the package `folder`, and in the project around it, that is not as it was written."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        found = manifest["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        yield f"manifest.json must be there and be JSON of format {FORMAT}, got {type(error).__name__}: {error}"
        return
    if found != FORMAT:
        yield f"manifest.json must be of format {FORMAT}, got {found}; use the evotune that wrote it"
        return
    if manifest.get("seal") != seal(manifest):
        # The checks that follow would hold the files against what was edited.
        yield "manifest.json was edited: its content is not what its seal says"
        return
    yield from _changed(folder, manifest["files"])
    if _is_project(folder.parent):
        yield from _changed(folder.parent, manifest["project_files"])
    yield from _other_configurations(folder, manifest)


def seal(manifest: Mapping[str, Any]) -> str:
    """SHA-256 of the manifest without its seal."""
    rest = {name: value for name, value in manifest.items() if name != "seal"}
    return digest(json.dumps(rest, sort_keys=True).encode())


def digest(content: bytes) -> str:
    """SHA-256."""
    return hashlib.sha256(content).hexdigest()


def code_hash(binary: bytes) -> str:
    """SHA-256 of a binary with its record of its own configuration blanked: equal hashes mean equal code."""
    start = binary.find(_MARK)
    if start >= 0:
        binary = binary[:start] + bytes(_RECORD_BYTES) + binary[start + _RECORD_BYTES :]
    return digest(binary)


def recorded_macros(binary: bytes) -> dict[str, str]:
    """The macros that a binary says it was built with; none where it has no such record."""
    start = binary.find(_MARK)
    if start < 0:
        return {}
    text = binary[start + len(_MARK) : start + _RECORD_BYTES].split(b"\0")[0].decode(errors="replace")
    return dict(pair.split("=", 1) for pair in text.split(";") if "=" in pair)


def _is_project(folder: Path) -> bool:
    """Whether it is what was exported; where a package is installed, or part of another project, it stands alone."""
    file = folder / "pyproject.toml"
    return file.is_file() and b'name = "evotune-exported-' in file.read_bytes()


def _changed(folder: Path, digests: Mapping[str, str]) -> Iterator[str]:
    for name, expected in digests.items():
        path = folder / name
        if not path.is_file():
            yield f"{name} is missing"
        elif digest(path.read_bytes()) != expected:
            yield f"{name} is not the file that was exported"


def _other_configurations(folder: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    """PTX holds its record as numbers, so only cubins are read."""
    builds = (build for kernel in manifest["kernels"].values() for build in (kernel, *kernel["forms"].values()))
    for build in builds:
        for binary in build["binaries"].values():
            path = folder / binary["file"]
            if path.suffix == ".cubin" and path.is_file() and recorded_macros(path.read_bytes()) != build["macros"]:
                yield f"{binary['file']} must be built with the macros of the manifest, its own record says otherwise"
