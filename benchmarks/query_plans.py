"""Print times and plans of the leaderboard's queries, and of the insert of an outcome, with a million trials.

    python -m benchmarks.query_plans [--trials 1000000] [--db URL] [--no-plans]

It starts a PostgreSQL server in a temporary folder, with default settings (128 MB of shared buffers, fsync on), and
fills it (shared/many_trials.py). `--db` takes an empty PostgreSQL database, or one that this command has filled. The
limits of the medians, as the caller of evotune_db.Database sees them, are 100 ms for a leaderboard and 10 ms for an
outcome. The plans are those of the server for the statements that evotune sends (auto_explain).
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from sqlalchemy import Engine, event, func, select, text

from benchmarks.shared.many_trials import GATES, GROUPS, fill
from benchmarks.shared.postgresql import own_postgresql
from evotune_db import Database
from evotune_db.engine import open_engines
from evotune_db.records import LeaderboardFilter, OutcomeRecord, SearchRecord
from evotune_db.schema import tables
from tests.support.db.examples import SEARCH, build, gate, passed, timing

QUERY_MS, INSERT_MS = 100.0, 10.0
QUERIES, INSERTS = 15, 200
# The default number of entries of `evotune leaderboard`.
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
EXPLAIN = (
    "LOAD 'auto_explain'",
    "SET auto_explain.log_min_duration = 0",
    "SET auto_explain.log_analyze = on",
    "SET auto_explain.log_buffers = on",
    "SET client_min_messages = log",
)
WIDTH = 118


def main() -> None:
    """Fill the database if it is empty, then measure and explain."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1_000_000)
    parser.add_argument("--db")
    parser.add_argument("--no-plans", action="store_true")
    options = parser.parse_args()
    with own_postgresql() if options.db is None else contextlib.nullcontext(options.db) as url:
        engines = open_engines(url)
        database = Database(engines)
        _fill_if_empty(engines.write, options.trials)
        print(_size(engines.read))
        _print_times(database)
        for name, plans in {} if options.no_plans else explain(engines.read, database).items():
            print(f"\n## {name}\n\n```\n" + "\n\n".join(plans) + "\n```")
        database.close()


def record_outcomes(database: Database, count: int) -> list[float]:
    """Return the milliseconds of each insert by the process that has the search's lease, as in a search."""
    search = database.start_search(_search(count + 1))
    database.acquire_lease(search, print)
    trials = [
        database.add_trial(search, number, {"n": number}, f"n={number}", "building") for number in range(count + 1)
    ]
    took = [_milliseconds(partial(database.record_outcome, trial, _outcome(trial))) for trial in trials]
    database.release_lease()
    database.finish_search(search, "finished")
    return took[1:]


def explain(engine: Engine, database: Database) -> dict[str, list[str]]:
    """Return the plans of each query, and those of the statements that record an outcome."""
    found = {}
    for name, wanted in LISTS.items():
        with explained(engine) as plans:
            database.leaderboard(wanted)
        found[f"The leaderboard of {name}"] = _once(plans)
    search = database.start_search(_search(1))
    trial = database.add_trial(search, 0, {}, "n=0", "building")
    with explained(engine) as plans:
        database.record_outcome(trial, _outcome(trial))
    found["An outcome"] = _once(plans)
    database.finish_search(search, "finished")
    return found


@contextlib.contextmanager
def explained(engine: Engine) -> Iterator[list[str]]:
    """Collect the plan of each statement on the connections that the engine opens in this context."""
    plans: list[str] = []

    def begin(connection: Any, record: Any) -> None:
        for statement in EXPLAIN:
            connection.execute(statement)
        connection.commit()
        connection.add_notice_handler(lambda notice: plans.append(_readable(notice.message_primary or "")))

    engine.dispose()
    event.listen(engine, "connect", begin)
    try:
        yield plans
    finally:
        event.remove(engine, "connect", begin)
        engine.dispose()


def _print_times(database: Database) -> None:
    print("\n| what | median | worst | bound of the median |\n| --- | --- | --- | --- |")
    for name, wanted in LISTS.items():
        took = [_milliseconds(partial(database.leaderboard, wanted)) for _ in range(QUERIES + 1)][1:]
        print(_row(f"leaderboard of {name}", took, QUERY_MS), flush=True)
    print(_row("insert of an outcome", record_outcomes(database, INSERTS), INSERT_MS), flush=True)


def _row(name: str, took: Sequence[float], bound: float) -> str:
    return f"| {name} | {statistics.median(took):.1f} ms | {max(took):.1f} ms | {bound:.0f} ms |"


def _milliseconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - started)


def _search(budget: int) -> SearchRecord:
    return replace(SEARCH, workloads=("mission",), budget=budget)


def _outcome(trial: int) -> OutcomeRecord:
    """Return an outcome with as many checks as a trial of attention_fwd has on a GPU, and with a unique binary."""
    key = f"query plans {trial}"
    timings = [timing(0.5 + trial % 97 / 50, mode=mode, build_key=key) for mode in ("cold", "warm")]
    samples = {side: [[9.6 + block, 9.7 + block] for block in range(12)] for side in ("candidate", "flash", "cudnn")}
    return replace(
        passed(*(replace(each, samples=samples) for each in timings)),
        builds=(replace(build(key), binary_hash=key),),
        gates=tuple(gate(seed=seed) for seed in range(GATES)),
    )


def _fill_if_empty(engine: Engine, trials: int) -> None:
    with engine.connect() as connection:
        if connection.execute(select(tables.trial.c.id).limit(1)).one_or_none() is not None:
            return
    started = time.perf_counter()
    for filled in fill(engine, trials):
        print(f"{filled:,} trials after {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)


def _size(engine: Engine) -> str:
    counted = (tables.trial, tables.gate_result, tables.timing, tables.leaderboard)
    with engine.connect() as connection:
        rows = {each.name: connection.execute(select(func.count()).select_from(each)).scalar_one() for each in counted}
        size = connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
        server = connection.execute(text("SELECT current_setting('server_version')")).scalar_one()
    sizes = ", ".join(f"{count:,} of {name}" for name, count in rows.items())
    return f"PostgreSQL {server.split()[0]}; {len(GROUPS)} groups; rows: {sizes}; {size / 1e9:.1f} GB"


def _once(plans: Sequence[str]) -> list[str]:
    """Return the first plan of each statement, with the number of the others."""
    by_statement: dict[str, list[str]] = {}
    for plan in plans:
        by_statement.setdefault(plan.splitlines()[1], []).append(plan)
    return [same[0] + (f"\n(and {len(same) - 1} more such)" if len(same) > 1 else "") for same in by_statement.values()]


def _readable(plan: str) -> str:
    """Return the plan with its statement cut to the first line, which names the table."""
    duration, *lines = plan.splitlines()
    start = next(place for place, line in enumerate(lines) if "(cost=" in line)
    statement = " ".join(" ".join(lines[:start]).split())
    return "\n".join([duration, *(_cut(line) for line in (statement, *lines[start:]))])


def _cut(line: str) -> str:
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 4]} ..."


if __name__ == "__main__":
    main()
