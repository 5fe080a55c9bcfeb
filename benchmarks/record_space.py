"""Write a finished search of a whole space as a recording, on which samplers are replayed.

    evotune search --space benchmarks/data/attention_h200_record.yaml --sampler random --budget 3432 --no-reuse \\
        --db record.db      (Ctrl-C and --resume as in any search)
    python benchmarks/record_space.py record.db --out attention_fwd-H200.csv.gz [--search 1]

The file has a column for each parameter with a choice, then time_ms, which is empty for a failed configuration. A time
is the configuration's cold ratio to the fastest baseline, measured interleaved, multiplied by the median of all times
of this baseline. So differences between machines, and changes of their speed, cancel out. A timing that stopped early
is used as it is.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import statistics
import sys
from collections import Counter
from pathlib import Path

from evotune.replay.recording_file import TIME_COLUMN
from evotune_db import Database
from evotune_db.records import StoredSearch, StoredTrial


def main() -> None:
    """Write the recording, and print the failures: a replay attributes each of them to its configuration."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("db")
    parser.add_argument("--search", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    with Database.open(options.db) as database:
        search = database.load_search(options.search)
        baseline_us = median_baseline_us(database, search)
    valid, recorded = search.record.space.valid_configurations, len(search.trials)
    if recorded < valid or search.state != "finished":
        sys.exit(f"a finished search of all {valid} configurations must be recorded, got {recorded}, {search.state}")
    options.out.write_bytes(gzip.compress(as_csv(search.trials, baseline_us).encode(), mtime=0))
    failed = Counter(trial.failed_gate for trial in search.trials if trial.failed_gate is not None)
    print(f"{recorded} configurations, {failed.total()} failed {dict(failed)}; baseline {baseline_us:.2f} us")


def median_baseline_us(database: Database, search: StoredSearch) -> float:
    """Return the median time of the fastest baseline, cold, over all trials of the search."""
    timings = [timing for trial in search.trials for timing in database.trial(trial.id).timings]
    return statistics.median(each.baseline_us for each in timings if (each.phase, each.mode) == ("search", "cold"))


def as_csv(trials: tuple[StoredTrial, ...], baseline_us: float) -> str:
    """Return the table; a boolean is written in lower case."""
    first = trials[0].configuration
    names = [name for name in first if len({trial.configuration[name] for trial in trials}) > 1]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*names, TIME_COLUMN])
    for trial in trials:
        cells = [trial.configuration[name] for name in names]
        time = "" if trial.objective is None else f"{trial.objective * baseline_us / 1e3:.6g}"
        table.writerow([*(str(cell).lower() if isinstance(cell, bool) else cell for cell in cells), time])
    return text.getvalue()


if __name__ == "__main__":
    main()
