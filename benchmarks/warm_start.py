"""Measure the trials that `--warm-start` saves at shapes that were not searched before, on this machine's device.

    python benchmarks/warm_start.py [--budget 60] [--seed 0] [--source NAME ...] [--workload NAME ...]
        [--db evotune.db] [--kernel attention_fwd --space FILE] [--out benchmarks/results/warm_start.json]

First it searches the sources, with `--source-budget`. With `--db`, it uses a copy of a database that has such searches.
Then it runs two searches at each new shape, one with a warm start and one without, with the same budget and seed; both
know only the sources. It times their best trials side by side, as `evotune compare` does. The result is the number of
trials that each search needed to come within 2 % and 5 % of the better one.
"""

from __future__ import annotations

import argparse
import contextlib
import sqlite3
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.shared.results_file import write_results
from evotune.display.progress import make_reporter
from evotune.errors import UserError
from evotune.planning.request import SearchRequest
from evotune.planning.warm_start import recorded_starting_points
from evotune.search.result import SearchResult
from evotune.search.run import run_search
from evotune.trials.compare import Comparison, compare_trials
from evotune_db import Database
from evotune_workers.kernel.device import cpu_device, local_devices

# One with few heads, one with many.
SOURCES = ("mission", "8x32x512x64")
# Each differs from the sources in one respect: longer, much longer, another number of heads, causal, a larger head.
NEW_SHAPES = ("1x8x1024x64", "long", "4x16x512x64", "causal", "wide")
# A comparison on a busy machine may give no result, and is then repeated.
COMPARE_ATTEMPTS = 3
WITHIN = (0.02, 0.05)
HEADINGS = "| shape | to 2 %, cold | warm | to 5 %, cold | warm | best, cold | warm | cold / warm | began with |"


@dataclass(frozen=True)
class Searched:
    """One search: objectives (time over the baseline's) in the order of the trials, None for a failure.

    `best` is the objective, in the search, of the trial that it ended with; `over_best` that trial's time over the
    shorter of the two searches', timed side by side. Together they put two searches on one scale, whatever the machine
    did between them.
    """

    objectives: tuple[float | None, ...]
    best: float
    over_best: float

    def trials_until(self, within: float) -> int | None:
        """Return the number of trials until one was within this share of the best; None if none was."""
        for number, objective in enumerate(self.objectives, start=1):
            if objective is not None and objective / self.best * self.over_best <= 1 + within:
                return number
        return None


def main() -> None:
    """Search one shape after the other, print a row for each and the total, write the results."""
    options = _options()
    device = next(iter(local_devices()), None) or cpu_device()
    settings = {"budget": options.budget, "seed": options.seed, "sources": options.source}
    shapes: dict[str, dict[str, Any]] = {}
    print(HEADINGS, flush=True)
    with _source_database(options) as source:
        for workload in options.workload:
            shapes[workload] = measure_shape(options, source, workload)
            print(row(workload, shapes[workload]), flush=True)
            write_results(options.out, device, {**settings, "shapes": shapes})
    for within in WITHIN:
        saved, cold, counted = total(shapes.values(), within)
        print(f"to within {within:.0%}: {saved} of {cold} trials saved at {counted} shapes")


def measure_shape(options: argparse.Namespace, source: Path, workload: str) -> dict[str, Any]:
    """Return the figures of both searches and of their comparison."""
    path = source.with_name(f"{workload}.db")
    _copy(source, path)
    # Search with a warm start first, so that it cannot use trials of the other search.
    warm = _search(options, path, workload, options.budget, warm_start=True)
    cold = _search(options, path, workload, options.budget)
    with Database.open(str(path)) as database:
        began_with = recorded_starting_points(database.load_search(warm.search_id).record)
        known = {
            "seconds": {"cold": cold.seconds, "warm": warm.seconds},
            "began_with": [asdict(each) for each in began_with],
        }
        comparison = _compared(database, warm, cold, workload)
        if isinstance(comparison, str):
            return {**known, "no_result": comparison}
        judged_cold = _judged(database, cold, max(1.0, comparison.speedup))
        judged_warm = _judged(database, warm, max(1.0, 1 / comparison.speedup))
    return {
        **known,
        "trials_until": trials_until(judged_cold, judged_warm),
        "warm_against_cold": asdict(comparison),
    }


def trials_until(cold: Searched, warm: Searched) -> dict[str, dict[str, int | None]]:
    """Return, for "2%" and "5%", the trials of both searches and the saving; without success, all trials count."""
    until = {}
    for within in WITHIN:
        budget, of_cold, of_warm = len(cold.objectives), cold.trials_until(within), warm.trials_until(within)
        saved = (of_cold or budget) - (of_warm or budget)
        until[f"{within:.0%}"] = {"cold": of_cold, "warm": of_warm, "budget": budget, "saved": saved}
    return until


def total(shapes: Iterable[Mapping[str, Any]], within: float) -> tuple[int, int, int]:
    """Return the trials saved, those that the cold searches took, and the number of shapes with a result."""
    found = [shape["trials_until"][f"{within:.0%}"] for shape in shapes if "trials_until" in shape]
    return sum(each["saved"] for each in found), sum(each["cold"] or each["budget"] for each in found), len(found)


def row(workload: str, shape: Mapping[str, Any]) -> str:
    """Format one line of the table; a dash stands for a search that never came within the limit."""
    if "no_result" in shape:
        return f"| {workload} | no result: {shape['no_result']} |"
    trials = [
        str(shape["trials_until"][f"{within:.0%}"][name] or "-") for within in WITHIN for name in ("cold", "warm")
    ]
    found = shape["warm_against_cold"]
    times = f"{found['second_us']:.2f} us | {found['first_us']:.2f} us"
    ratio = f"{found['speedup']:.3f} [{found['speedup_low']:.3f}, {found['speedup_high']:.3f}]"
    return f"| {workload} | {' | '.join(trials)} | {times} | {ratio} | {len(shape['began_with'])} |"


@contextlib.contextmanager
def _source_database(options: argparse.Namespace) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "source.db"
        if options.db is not None:
            _copy(options.db, path)
        else:
            for source in options.source:
                _search(options, path, source, options.source_budget)
        yield path


def _search(
    options: argparse.Namespace, database: Path, workload: str, budget: int, warm_start: bool = False
) -> SearchResult:
    request = SearchRequest(
        db=str(database),
        kernel=options.kernel,
        space=options.space,
        workloads=(workload,),
        budget=budget,
        seed=options.seed,
        warm_start=warm_start,
        # No search may reuse measurements of the other, because their best trials are compared.
        reuse=False,
    )
    result = run_search(request, make_reporter(json=True))
    if result.state != "finished":
        sys.exit("interrupted")
    return result


def _compared(database: Database, warm: SearchResult, cold: SearchResult, workload: str) -> Comparison | str:
    """Time the warm search's best against the cold one's; return the reason if there is no result."""
    if warm.best is None or cold.best is None:
        return "a search found nothing that passes"
    for _ in range(COMPARE_ATTEMPTS):
        try:
            return compare_trials(database, warm.best.trial, cold.best.trial, workload)
        except UserError as error:
            reason = str(error)
    return reason


def _judged(database: Database, result: SearchResult, over_best: float) -> Searched:
    trials = database.load_search(result.search_id).trials
    assert result.best is not None
    best = next(trial.objective for trial in trials if result.best.trial == trial.id)
    assert best is not None, "a trial on the leaderboard has passed"
    return Searched(tuple(trial.objective for trial in trials), best, over_best)


def _copy(source: Path, target: Path) -> None:
    """Copy a database that may be in use, with the files that SQLite keeps beside it."""
    if not source.is_file():
        sys.exit(f"--db must be an SQLite file with searches of the sources, got {source}")
    with contextlib.closing(sqlite3.connect(source)) as reader, contextlib.closing(sqlite3.connect(target)) as writer:
        reader.backup(writer)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kernel", default="attention_fwd")
    parser.add_argument("--space")
    parser.add_argument("--source", nargs="+", default=list(SOURCES))
    parser.add_argument("--source-budget", type=int, default=60)
    parser.add_argument("--workload", nargs="+", default=list(NEW_SHAPES))
    parser.add_argument("--db", type=Path, help="an SQLite file with searches of the sources")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "warm_start.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
