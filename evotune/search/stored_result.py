"""Read a search's result back from the record."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from evotune.planning.plan import Plan
from evotune.search.build_only import build_figures
from evotune.search.result import Failure, SearchResult
from evotune_db import Database
from evotune_db.records import FINISHED, LeaderboardFilter, SearchState


@dataclass(frozen=True)
class Run:
    """One run of a search that has ended. `idle_share` as in SearchResult."""

    search_id: int
    state: SearchState
    idle_share: float | None
    seconds: float


def read_result(run: Run, plan: Plan, database: Database, db: str) -> SearchResult:
    """Return the result of a search over all its runs, of which `run` is the last. `db` is the database's URL."""
    trials = database.load_search(run.search_id).trials
    failures = [
        Failure(trial.failed_gate or "unknown", trial.id, trial.reason or "unknown")
        for trial in trials
        if trial.state == "failed"
    ]
    first = {failure.gate: failure for failure in reversed(failures)}
    best = database.leaderboard(LeaderboardFilter(search=run.search_id, top=1))
    return SearchResult(
        search_id=run.search_id,
        state=run.state,
        built=sum(trial.state in FINISHED and trial.reused_from is None for trial in trials),
        passed=sum(trial.state == "passed" for trial in trials),
        failed_by_gate=Counter(failure.gate for failure in failures),
        best=best[0] if best else None,
        seconds=run.seconds,
        db=db,
        builds=build_figures(plan, database, run.search_id) if plan.build_only else None,
        idle_share=run.idle_share,
        reused=sum(trial.reused_from is not None for trial in trials),
        failures=tuple(sorted(first.values(), key=lambda failure: failure.trial)),
    )
