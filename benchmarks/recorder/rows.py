"""What is recorded of a configuration, and the file that it is kept in: JSON, a row a line, after what they rest on."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evotune_db.records import OutcomeRecord
from evotune_workers.kernel import Configuration
from evotune_workers.measuring.jobs import Measurement

# What rows of one file must have in common.
SAME = ("kernel", "source_hash", "space_hash", "workload", "target", "device_name")


class RowsError(ValueError):
    """A file of rows that cannot be gone on with; its text is one line for the user."""


@dataclass(frozen=True)
class Row:
    """One configuration. `ratio` is its time over the fastest baseline's, cold, interleaved with it.

    Times in microseconds. `failed_gate` None: it passed. `censored`: its timing was stopped early, as it was too slow
    to be the best, and it has no warm time.
    """

    configuration: Configuration
    failed_gate: str | None = None
    reason: str | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    cold_us: float | None = None
    warm_us: float | None = None
    baseline: str | None = None
    baseline_us: float | None = None
    censored: bool = False
    build_seconds: float = 0.0
    seconds: float = 0.0

    @classmethod
    def refused(cls, configuration: Configuration, outcome: OutcomeRecord, build_seconds: float) -> Row:
        """Of one that does not build, or uses more than the space allows."""
        return cls(dict(configuration), outcome.failed_gate, outcome.reason, build_seconds=build_seconds)

    @classmethod
    def measured(cls, configuration: Configuration, measurement: Measurement, build_seconds: float) -> Row:
        """Of one that was run."""
        row = cls(
            dict(configuration),
            measurement.failed_gate,
            measurement.reason,
            build_seconds=build_seconds,
            seconds=measurement.seconds,
        )
        if not measurement.timings:
            return row
        cold, *warm = measurement.timings
        return dataclasses.replace(
            row,
            ratio=1 / cold.speedup,
            ratio_low=1 / cold.speedup_high,
            ratio_high=1 / cold.speedup_low,
            cold_us=cold.median_us,
            warm_us=warm[0].median_us if warm else None,
            baseline=cold.baseline,
            baseline_us=cold.baseline_us,
            censored=cold.censored,
        )


class RowFile:
    """Appends rows, each out of this process when `add` returns: a run that is killed loses none."""

    def __init__(self, path: Path, facts: Mapping[str, Any], earlier: Path | None) -> None:
        """Begins a piece that rests on `facts`, after the pieces in `earlier`, which may be `path` itself.

        Raises RowsError when `path` has rows that would be lost, or those in `earlier` rest on something else.
        """
        pieces, rows = ([], []) if earlier is None else read_rows(earlier)
        if path.exists() and (earlier is None or not path.samefile(earlier)):
            raise RowsError(f"the file must be a new one, {path} exists: go on with it by --resume-from {path}")
        for piece in pieces:
            _check_same(piece, facts)
        self.pieces, self.rows = [*pieces, dict(facts)], rows
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [*({"piece": piece} for piece in self.pieces), *map(dataclasses.asdict, rows)]
        whole = path.with_name(f"{path.name}.new")
        whole.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        whole.replace(path)
        self._file = path.open("a")

    def add(self, row: Row) -> None:
        """Keeps a row."""
        self.rows.append(row)
        self._file.write(f"{json.dumps(dataclasses.asdict(row))}\n")
        self._file.flush()

    def close(self) -> None:
        """Nothing can be added afterwards."""
        self._file.close()


def read_rows(path: Path) -> tuple[list[dict[str, Any]], list[Row]]:
    """What the pieces of a file rest on, and its rows; a last line that was cut off does not count."""
    try:
        *whole, _cut_off = path.read_text().split("\n")
        lines = [json.loads(line) for line in whole]
    except (OSError, ValueError) as error:
        raise RowsError(f"rows must be read from a file of an earlier run, got {path}: {error}") from error
    return [line["piece"] for line in lines if "piece" in line], [Row(**line) for line in lines if "piece" not in line]


def _check_same(piece: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    for name in SAME:
        if piece[name] != facts[name]:
            raise RowsError(f"rows of one file must have the same {name}: {piece[name]} before, {facts[name]} now")
