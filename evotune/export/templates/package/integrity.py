"""Check that a package is unchanged since its export: every file by its hash, the manifest by its seal."""

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
    """Yield a line for every file in the package `folder`, and in the project around it, that has changed."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        found = manifest["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        yield f"manifest.json must exist and be JSON of format {FORMAT}, got {type(error).__name__}: {error}"
        return
    if found != FORMAT:
        yield f"manifest.json must be of format {FORMAT}, got {found}; use the evotune that wrote it"
        return
    if manifest.get("seal") != seal(manifest):
        # The following checks would compare the files with the edited hashes.
        yield "manifest.json was edited: its content does not match its seal"
        return
    yield from _changed(folder, manifest["files"])
    if _is_project(folder.parent):
        yield from _changed(folder.parent, manifest["project_files"])
    yield from _other_configurations(folder, manifest)


def seal(manifest: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the manifest without its seal."""
    rest = {name: value for name, value in manifest.items() if name != "seal"}
    return digest(json.dumps(rest, sort_keys=True).encode())


def digest(content: bytes) -> str:
    """Return the SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def code_hash(binary: bytes) -> str:
    """Return the SHA-256 of a binary without its record of its configuration: equal hashes mean equal code."""
    start = binary.find(_MARK)
    if start >= 0:
        binary = binary[:start] + bytes(_RECORD_BYTES) + binary[start + _RECORD_BYTES :]
    return digest(binary)


def recorded_macros(binary: bytes) -> dict[str, str]:
    """Return the macros that a binary was built with, by its own record; none if it has no record."""
    start = binary.find(_MARK)
    if start < 0:
        return {}
    text = binary[start + len(_MARK) : start + _RECORD_BYTES].split(b"\0")[0].decode(errors="replace")
    return dict(pair.split("=", 1) for pair in text.split(";") if "=" in pair)


def _is_project(folder: Path) -> bool:
    """Return True if the folder is the exported project; an installed package has another folder around it."""
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
    """Yield a line for every cubin with another configuration; PTX has its record as numbers, so it is not read."""
    builds = (build for kernel in manifest["kernels"].values() for build in (kernel, *kernel["forms"].values()))
    for build in builds:
        for binary in build["binaries"].values():
            path = folder / binary["file"]
            if path.suffix == ".cubin" and path.is_file() and recorded_macros(path.read_bytes()) != build["macros"]:
                yield f"{binary['file']} must be built with the macros of the manifest, its own record says otherwise"
