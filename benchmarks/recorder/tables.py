"""What rows come to: the table that samplers are replayed on, and a summary."""

from __future__ import annotations

import csv
import dataclasses
import gzip
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.recorder.rows import Row
from evotune.replay.reading import TIME_COLUMN
from evotune.space import Parameter

BEST = 5
QUANTILES = (0, 1, 10, 25, 50, 75, 90, 100)


def csv_gz(rows: Sequence[Row], parameters: Sequence[Parameter]) -> bytes:
    """A recording: a column for each parameter with a choice, then time_ms, empty where it failed; compressed.

    A time is the ratio to the fastest baseline, which pieces recorded on several devices of a kind can share, times
    what that baseline took in the middle of all rows.
    """
    names = [parameter.name for parameter in parameters if len(parameter.values) > 1]
    usual_ms = baseline_us(rows) / 1e3
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*names, TIME_COLUMN])
    for row in rows:
        time = "" if row.ratio is None else f"{row.ratio * usual_ms:.6g}"
        table.writerow([*(_cell(row.configuration[name]) for name in names), time])
    return gzip.compress(text.getvalue().encode(), mtime=0)


def baseline_us(rows: Sequence[Row]) -> float:
    """Median time of the fastest baseline; NaN without a row that was timed."""
    times = [row.baseline_us for row in rows if row.baseline_us is not None]
    return float(np.median(times)) if times else float("nan")


def summary(rows: Sequence[Row], valid: int) -> Mapping[str, Any]:
    """How much is recorded, what failed where, and how the ratios are spread, as plain values."""
    timed = sorted((row for row in rows if row.ratio is not None), key=lambda row: row.ratio or 0.0)
    ratios = [row.ratio for row in timed]
    quantiles = np.percentile(np.array(ratios), QUANTILES).tolist() if ratios else []
    return {
        "valid_configurations": valid,
        "recorded": len(rows),
        "failed_by_gate": dict(Counter(row.failed_gate for row in rows if row.failed_gate is not None)),
        "stopped_early": sum(row.censored for row in rows),
        "baseline_us": baseline_us(rows) if timed else None,
        "baselines": dict(Counter(row.baseline for row in timed)),
        "ratio_percentiles": dict(zip(map(str, QUANTILES), quantiles, strict=False)),
        "median_build_seconds": float(np.median([row.build_seconds for row in rows])) if rows else None,
        "median_seconds": float(np.median([row.seconds for row in timed])) if timed else None,
        "best": [dataclasses.asdict(row) for row in timed[:BEST]],
    }


def _cell(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value
