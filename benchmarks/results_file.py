"""Results of a benchmark as JSON, with everything that they depend on."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from evotune.facts import git_facts, versions
from evotune_workers.device import Device


def write_results(path: Path, device: Device, figures: Mapping[str, Any], indent: int | None = 1) -> None:
    """Writes `figures` (dataclasses among them as objects) beside what they depend on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {**conditions(device), **figures}
    path.write_text(json.dumps(document, indent=indent, default=dataclasses.asdict) + "\n")


def conditions(device: Device) -> dict[str, Any]:
    """Device, versions, commit, command and time."""
    return {
        "device": {"name": device.name, **device.facts},
        "versions": versions(),
        # Without the results, which a benchmark writes more than once.
        "git": git_facts(Path(__file__).parent.parent, "benchmarks/results"),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python", *_without_out(sys.argv)]),
    }


def _without_out(arguments: Sequence[str]) -> list[str]:
    """Where results were written decides nothing, and may be a place of one machine."""
    return [
        each
        for before, each in pairwise(["", *arguments])
        if before != "--out" and each != "--out" and not each.startswith("--out=")
    ]
