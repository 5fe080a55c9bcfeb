"""A million trials in PostgreSQL: how long the leaderboard's query and an outcome's insert take, with their plans.

    python benchmarks/million_trials.py [--trials 1000000] [--out benchmarks/results/million_trials.json]
        [--plans docs/query-plans.md] [--db URL]

Starts a server from the installed programs, with its own settings (128 MB of shared buffers, fsync on), in a folder
that goes afterwards, and fills it past every key and check of the schema: searches of 2,000 trials, nine in ten passed,
half of those listed. `--db` takes an empty database, or one that was filled by this command. Bounds: 100 ms for a
leaderboard, 10 ms for an outcome, medians, as the caller of evotune_db.Database sees them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, func, select, text

from benchmarks.million import outcome, plans
from benchmarks.million.fill import GROUPS, fill
from benchmarks.own_postgresql import own_postgresql
from benchmarks.results_file import conditions
from evotune_db import Database
from evotune_db.engine import open_engines
from evotune_db.records import LeaderboardFilter
from evotune_db.schema import tables
from evotune_workers.kernel.device import cpu_device

ROOT = Path(__file__).resolve().parent.parent
QUERY_MS, INSERT_MS = 100.0, 10.0
QUERIES, INSERTS = 15, 200
# What `evotune leaderboard` lists unless it is told otherwise.
TOP = 20
LISTS: Mapping[str, LeaderboardFilter] = {
    "everything": LeaderboardFilter(top=TOP),
    "a kernel": LeaderboardFilter(kernel="attention_fwd", top=TOP),
    "a kernel, a target, a workload": LeaderboardFilter(
        kernel="attention_fwd", target="sm_89", workload="mission", top=TOP
    ),
    "devices by a part of their name": LeaderboardFilter(device="sm_90", top=TOP),
    "a search": LeaderboardFilter(search=7, top=TOP),
}


def main() -> None:
    options = _options()
    with _server(options.db) as url:
        engines = open_engines(url)
        database = Database(engines)
        _fill(engines.write, options.trials)
        lists = {name: queries(database, wanted) for name, wanted in LISTS.items()}
        inserts = outcomes(database, INSERTS)
        told = explain(engines.read, database)
        facts = _facts(engines.read)
        database.close()
    result = {**facts, "leaderboard_ms": lists, "outcome_ms": inserts}
    print(table(result))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    options.plans.write_text(page(result, told))


def queries(database: Database, wanted: LeaderboardFilter) -> dict[str, float]:
    """Milliseconds of one leaderboard, each from its question to the entries in Python."""
    return _spread([_timed(lambda: database.leaderboard(wanted)) for _ in range(QUERIES + 1)][1:])


def outcomes(database: Database, count: int) -> dict[str, float]:
    """Milliseconds of an outcome's insert, by the process that holds the search, as in a search."""
    search = database.start_search(outcome.search(count + 1))
    database.acquire_lease(search, print)
    took = [
        _timed(partial(database.record_outcome, trial, outcome.passed(trial)))
        for trial in (_propose(database, search, number) for number in range(count + 1))
    ]
    database.release_lease()
    database.finish_search(search, "finished")
    return _spread(took[1:])


def explain(engine: Engine, database: Database) -> dict[str, list[str]]:
    """The plans of each question, and of the statements of an outcome's insert, each asked once more."""
    found = {}
    for name, wanted in LISTS.items():
        with plans.explained(engine) as told:
            database.leaderboard(wanted)
        found[f"The leaderboard of {name}"] = plans.once(told)
    search = database.start_search(outcome.search(1))
    trial = _propose(database, search, 0)
    with plans.explained(engine) as told:
        database.record_outcome(trial, outcome.passed(trial))
    found["An outcome"] = plans.once(told)
    database.finish_search(search, "finished")
    return found


def table(result: Mapping[str, Any]) -> str:
    """Rows of Markdown, each with its bound."""
    lists = [(f"leaderboard of {name}", took, QUERY_MS) for name, took in result["leaderboard_ms"].items()]
    lines = [
        f"| {name} | {took['median']:.1f} ms | {took['worst']:.1f} ms | {bound:.0f} ms |"
        for name, took, bound in [*lists, ("insert of an outcome", result["outcome_ms"], INSERT_MS)]
    ]
    return "\n".join(["| what | median | worst | bound of the median |", "| --- | --- | --- | --- |", *lines])


def page(result: Mapping[str, Any], told: Mapping[str, Sequence[str]]) -> str:
    """The figures and the plans as a page of the documentation."""
    machine = f"{result['device']['name']}, {result['device']['cores']} cores"
    rows = ", ".join(f"{count:,} of {name}" for name, count in result["rows"].items())
    parts = [
        "# The record at a million trials",
        f"`{result['command']}`, {result['made'][:10]}, {result['server']}, {machine}. Rows: {rows}, "
        f"{result['bytes'] / 1e9:.1f} GB with indexes; the leaderboard has {len(GROUPS)} groups.",
        table(result),
        "The plans are the server's own, of the statements that evotune sends (`auto_explain`, with actual times).",
        *(f"## {name}\n\n```\n" + "\n\n".join(each) + "\n```" for name, each in told.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _fill(engine: Engine, trials: int) -> None:
    with engine.connect() as connection:
        if connection.execute(select(tables.trial.c.id).limit(1)).one_or_none() is not None:
            return
    started = time.perf_counter()
    for filled in fill(engine, trials):
        print(f"{filled:,} trials after {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)


def _facts(engine: Engine) -> dict[str, Any]:
    counted = (tables.trial, tables.gate_result, tables.timing, tables.leaderboard)
    with engine.connect() as connection:
        rows = {each.name: connection.execute(select(func.count()).select_from(each)).scalar_one() for each in counted}
        size = connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
        server = connection.execute(text("SELECT current_setting('server_version')")).scalar_one()
    return {
        **conditions(cpu_device()),
        "server": f"PostgreSQL {server.split()[0]}",
        "rows": rows,
        "bytes": size,
    }


def _propose(database: Database, search: int, number: int) -> int:
    return database.add_trial(search, number, outcome.configuration(number), f"number={number}", "building")


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - started)


def _spread(milliseconds: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(milliseconds), "worst": max(milliseconds)}


@contextmanager
def _server(given: str | None) -> Iterator[str]:
    """The URL of a database: that given, or a new one."""
    if given is not None:
        yield given
        return
    with own_postgresql() as url:
        yield url


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "million_trials.json")
    parser.add_argument("--plans", type=Path, default=ROOT / "docs" / "query-plans.md")
    parser.add_argument("--db")
    return parser.parse_args()


if __name__ == "__main__":
    main()
