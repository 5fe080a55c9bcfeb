"""Write the results of a benchmark as JSON, with everything that they depend on."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from evotune.planning.versions import git_version, versions
from evotune_workers.kernel.device import Device

ROOT = Path(__file__).resolve().parents[2]


def write_results(path: Path, device: Device, figures: Mapping[str, Any], indent: int | None = 1) -> None:
    """Write `figures`, with dataclasses as objects, and the conditions that they depend on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {**conditions(device), **figures}
    path.write_text(json.dumps(document, indent=indent, default=dataclasses.asdict) + "\n")


def conditions(device: Device) -> dict[str, Any]:
    """Return device, versions, commit, command and time."""
    return {
        "device": {"name": device.name, **device.properties},
        "versions": versions(),
        # Changes of the results do not count: a benchmark writes them several times.
        "git": git_version(ROOT, "benchmarks/results"),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command_of(sys.argv),
    }


def command_of(arguments: Sequence[str]) -> str:
    """Return the command as typed in the repository, without parts that belong to one machine: URLs and --out."""
    program = Path(arguments[0]).resolve()
    name = program.relative_to(ROOT).as_posix() if program.is_relative_to(ROOT) else arguments[0]
    given = ["URL" if "://" in each else each for each in _without_out(arguments)[1:]]
    return " ".join(["python", name, *given])


def _without_out(arguments: Sequence[str]) -> list[str]:
    return [
        each
        for before, each in pairwise(["", *arguments])
        if before != "--out" and each != "--out" and not each.startswith("--out=")
    ]
