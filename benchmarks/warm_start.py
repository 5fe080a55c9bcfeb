"""What `--warm-start` saves at shapes that were not searched before, on this machine's device.

    python benchmarks/warm_start.py [--budget 60] [--seed 0] [--source NAME ...] [--workload NAME ...]
        [--db evotune.db] [--kernel attention_fwd --space FILE] [--out benchmarks/results/warm_start.json]

First searches the sources, with `--source-budget`; `--db` names a database that has searches of them already, which is
copied and left as it is. Then, at each new shape, a search with a warm start and one without, of the same budget and
seed, both beginning from the sources alone. Their best are timed side by side, as `evotune compare` does. The figure is
how many trials each took to come within 2 % and 5 % of the better one. Shapes that `--out` has already, of the same
budget, seed and sources, stay there: the machine need not be had for all of them at once.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sqlite3
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.results_file import conditions
from benchmarks.warm_start_figures import WITHIN, Searched, total, trials_until
from evotune.display.progress import make_reporter
from evotune.errors import UserError
from evotune.planning.request import SearchRequest
from evotune.planning.warm_start import recorded_precedents
from evotune.search.result import SearchResult
from evotune.search.run import run_search
from evotune.trials.compare import Comparison, compare_trials
from evotune_db import Database
from evotune_workers.kernel.device import cpu_device, local_devices

# Few heads and many.
SOURCES = ("mission", "8x32x512x64")
# Each unlike the sources in another respect: longer, much longer, heads in between, causal, a larger head.
NEW_SHAPES = ("1x8x1024x64", "long", "4x16x512x64", "causal", "wide")
# A machine that is busy with something else may need to be asked again.
COMPARE_ATTEMPTS = 3
HEADINGS = "| shape | to 2 %, cold | warm | to 5 %, cold | warm | best, cold | warm | cold / warm | began with |"


def main() -> None:
    """Searches one shape after the other, prints a row for each and the total, writes the results."""
    options = arguments()
    device = next(iter(local_devices()), None) or cpu_device()
    settings = {"budget": options.budget, "seed": options.seed, "sources": options.source}
    shapes = shapes_before(options.out, settings)
    print(HEADINGS, flush=True)
    with source_database(options) as source:
        for workload in options.workload:
            shapes[workload] = {**conditions(device), **measure_shape(options, source, workload)}
            print(row(workload, shapes[workload]), flush=True)
            write(options.out, settings, shapes)
    for within in WITHIN:
        saved, cold, counted = total(shapes.values(), within)
        print(f"to within {within:.0%}: {saved} of {cold} trials saved at {counted} shapes")


def arguments() -> argparse.Namespace:
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


@contextlib.contextmanager
def source_database(options: argparse.Namespace) -> Iterator[Path]:
    """A database with searches of the sources."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "source.db"
        if options.db is not None:
            copy(options.db, path)
        else:
            for source in options.source:
                search(options, path, source, options.source_budget)
        yield path


def measure_shape(options: argparse.Namespace, source: Path, workload: str) -> dict[str, Any]:
    """The two searches and their comparison."""
    path = source.with_name(f"{workload}.db")
    copy(source, path)
    # The warm one first: it must not find what the cold one has left.
    warm = search(options, path, workload, options.budget, warm_start=True)
    cold = search(options, path, workload, options.budget)
    with Database.open(str(path)) as database:
        began_with = recorded_precedents(database.load_search(warm.search_id).record)
        known = {
            "seconds": {"cold": cold.seconds, "warm": warm.seconds},
            "began_with": [asdict(each) for each in began_with],
        }
        comparison = compared(database, warm, cold, workload)
        if isinstance(comparison, str):
            return {**known, "no_result": comparison}
        judged_cold = judged(database, cold, max(1.0, comparison.speedup))
        judged_warm = judged(database, warm, max(1.0, 1 / comparison.speedup))
    return {
        **known,
        "trials_until": trials_until(judged_cold, judged_warm),
        "warm_against_cold": asdict(comparison),
        "curves": {"cold": judged_cold.curve(), "warm": judged_warm.curve()},
    }


def search(
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
        # Neither takes what the other has measured: a best of its own is timed against the other's.
        reuse=False,
    )
    result = run_search(request, make_reporter(json=True))
    if result.state != "finished":
        sys.exit("interrupted")
    return result


def compared(database: Database, warm: SearchResult, cold: SearchResult, workload: str) -> Comparison | str:
    """The warm search's best against the cold one's, or why there is no telling."""
    if warm.best is None or cold.best is None:
        return "a search found nothing that passes"
    for _ in range(COMPARE_ATTEMPTS):
        try:
            return compare_trials(database, warm.best.trial, cold.best.trial, workload)
        except UserError as error:
            reason = str(error)
    return reason


def judged(database: Database, result: SearchResult, over_best: float) -> Searched:
    trials = database.load_search(result.search_id).trials
    assert result.best is not None
    best = next(trial.objective for trial in trials if result.best.trial == trial.id)
    assert best is not None, "what stands on the leaderboard has passed"
    return Searched(tuple(trial.objective for trial in trials), best, over_best)


def copy(source: Path, target: Path) -> None:
    """With what SQLite keeps beside the file, of a database that may be in use."""
    if not source.is_file():
        sys.exit(f"--db must be an SQLite file with searches of the sources, got {source}")
    with contextlib.closing(sqlite3.connect(source)) as reader, contextlib.closing(sqlite3.connect(target)) as writer:
        reader.backup(writer)


def row(workload: str, shape: Mapping[str, Any]) -> str:
    """One line of the table; a search that never came so near is told by a dash."""
    if "no_result" in shape:
        return f"| {workload} | no result: {shape['no_result']} |"
    trials = [
        str(shape["trials_until"][f"{within:.0%}"][name] or "-") for within in WITHIN for name in ("cold", "warm")
    ]
    found = shape["warm_against_cold"]
    times = f"{found['second_us']:.2f} us | {found['first_us']:.2f} us"
    ratio = f"{found['speedup']:.3f} [{found['speedup_low']:.3f}, {found['speedup_high']:.3f}]"
    return f"| {workload} | {' | '.join(trials)} | {times} | {ratio} | {len(shape['began_with'])} |"


def shapes_before(path: Path, settings: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What a file of the same settings has; nothing of any other one."""
    if not path.is_file():
        return {}
    document = json.loads(path.read_text())
    same = all(document.get(name) == value for name, value in settings.items())
    return dict(document["shapes"]) if same else {}


def write(path: Path, settings: Mapping[str, Any], shapes: Mapping[str, Mapping[str, Any]]) -> None:
    """Everything so far; each shape has with it what it depends on."""
    names = ("saved", "cold", "shapes")
    totals = {f"{within:.0%}": dict(zip(names, total(shapes.values(), within), strict=True)) for within in WITHIN}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**settings, "total": totals, "shapes": shapes}, indent=1) + "\n")


if __name__ == "__main__":
    main()
