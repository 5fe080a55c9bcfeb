"""Copies of a kernel's folder with faults that a parameter `fault` chooses, planted by substitution in the sources."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# The number of a build that has every fault.
ALL = -1


@dataclass(frozen=True)
class Fault:
    """In `file`, `faulty` takes the place of the whole lines `honest` in builds with FAULT=`number`."""

    number: int
    file: str
    honest: str
    faulty: str


def plant(source: Path, target: Path, faults: Sequence[Fault], record: tuple[str, str, str]) -> Path:
    """Return a copy with the faults.

    `record` is a substitution (file, text, other text) that makes a binary say which fault it has.
    """
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    file, honest, recorded = record
    _substitute(target / file, honest, recorded)
    for fault in faults:
        either = f"\n#if FAULT == {fault.number} || FAULT == {ALL}\n{fault.faulty}\n#else\n{fault.honest}\n#endif\n"
        _substitute(target / fault.file, fault.honest, either)
    return target


def _substitute(path: Path, text: str, other: str) -> None:
    source = path.read_text(encoding="utf-8")
    assert source.count(text) == 1, f"{path} must have once, has {source.count(text)} times: {text}"
    path.write_text(source.replace(text, other), encoding="utf-8")
