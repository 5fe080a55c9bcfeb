"""How a run of a search ended, and what the search has come to, read back from the record."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from evotune.planning.plan import Plan
from evotune.planning.request import Failure, SearchResult
from evotune.search.build_only import build_figures
from evotune_db import Database
from evotune_db.records import FINISHED, LeaderboardFilter, SearchState


@dataclass(frozen=True)
class Ended:
    """How a run of a search ended; `idle_share` as in SearchResult."""

    search_id: int
    state: SearchState
    idle_share: float | None


def result_of(ended: Ended, plan: Plan, database: Database, seconds: float, db: str) -> SearchResult:
    """What the search has come to, over all its runs; this one took `seconds`."""
    search_id = ended.search_id
    trials = database.load_search(search_id).trials
    failures = [
        Failure(trial.failed_gate or "unknown", trial.id, trial.reason or "unknown")
        for trial in trials
        if trial.state == "failed"
    ]
    first = {failure.gate: failure for failure in reversed(failures)}
    best = database.leaderboard(LeaderboardFilter(search=search_id, top=1))
    return SearchResult(
        search_id=search_id,
        state=ended.state,
        built=sum(trial.state in FINISHED and trial.reused_from is None for trial in trials),
        passed=sum(trial.state == "passed" for trial in trials),
        failed_by_gate=Counter(failure.gate for failure in failures),
        best=best[0] if best else None,
        seconds=seconds,
        db=db,
        builds=build_figures(plan, database, search_id) if plan.build_only else None,
        idle_share=ended.idle_share,
        reused=sum(trial.reused_from is not None for trial in trials),
        failures=tuple(sorted(first.values(), key=lambda failure: failure.trial)),
    )
