"""Search a recorded space: with the loop, the recorder and the database of any search, but without a device."""

from __future__ import annotations

import math
import time

from evotune.planning.request import RECORDED, SearchRequest
from evotune.replay.lookup import WORKER, Lookup
from evotune.replay.replay_plan import OPTION, ReplayPlan, make_replay_plan, replay_record, resumed_replay_plan
from evotune.search.failures import resumable, run_to_end
from evotune.search.interrupt import Interrupt
from evotune.search.lease import SearchLease
from evotune.search.loop import SearchLoop
from evotune.search.recorder import Recorder
from evotune.search.reporter import Reporter
from evotune.search.result import ReplayFigures, SearchResult
from evotune.search.study import Study
from evotune_db import Database
from evotune_db.records import FINISHED, SearchState, StoredSearch, StoredTrial

NEAR = 1.05


def is_replay(request: SearchRequest) -> bool:
    """Return True if a request is for a recording, or resumes a search of one."""
    if request.resume is None:
        return request.replay is not None
    with Database.open(request.db) as database:
        return OPTION in database.load_search(request.resume).record.options


def run_replay(request: SearchRequest, reporter: Reporter) -> SearchResult:
    """Search a recording, or resume a search of one; every trial is recorded as soon as it ends.

    Raises UserError and RecordingError for errors that the user can correct.
    """
    started = time.monotonic()
    with Database.open(request.db) as database, SearchLease(database, reporter.note) as lease:
        stored = lease.load(request.resume)
        plan = make_replay_plan(request) if stored is None else resumed_replay_plan(stored, request)
        search_id = lease.start(replay_record(plan)) if stored is None else lease.resume(stored.id, plan.budget)
        _announce(plan, stored, search_id, reporter)
        with resumable(search_id, request):
            state = _run(plan, stored, search_id, request.time_limit, database, reporter)
        trials = database.load_search(search_id).trials
    failed = sum(trial.state == "failed" for trial in trials)
    return SearchResult(
        search_id=search_id,
        state=state,
        built=sum(trial.state in FINISHED for trial in trials),
        passed=sum(trial.state == "passed" for trial in trials),
        failed_by_gate={RECORDED: failed} if failed else {},
        best=None,
        seconds=time.monotonic() - started,
        db=request.db,
        replay=replay_figures(plan, trials),
    )


def replay_figures(plan: ReplayPlan, trials: tuple[StoredTrial, ...]) -> ReplayFigures:
    """Summarise these trials, given in the order of their numbers."""
    optimum = plan.recording.optimum
    passed = [(trial.objective, trial) for trial in trials if trial.objective is not None]
    best_ms, best = min(passed, key=lambda pair: pair[0], default=(None, None))
    near = [trial.number + 1 for objective, trial in passed if objective <= NEAR * optimum]
    return ReplayFigures(
        recording=plan.recording.name,
        configurations=len(plan.recording.valid),
        optimum_ms=optimum,
        best_trial=best.id if best else None,
        best_ms=best_ms,
        percent_of_optimum=100 * optimum / best_ms if best_ms else None,
        to_5_percent=min(near, default=None),
        best_configuration=best.configuration if best else {},
    )


def _announce(plan: ReplayPlan, stored: StoredSearch | None, search_id: int, reporter: Reporter) -> None:
    done = sum(trial.state in FINISHED for trial in stored.trials) if stored else 0
    what = f"{plan.recording.name}, recorded and not measured here, {len(plan.recording.valid)} configurations"
    reporter.started(search_id, plan.budget - done, (WORKER,), what)


def _run(
    plan: ReplayPlan,
    stored: StoredSearch | None,
    search_id: int,
    time_limit: float | None,
    database: Database,
    reporter: Reporter,
) -> SearchState:
    trials = stored.trials if stored else ()
    study = Study(plan.recording.valid, plan.sampler, plan.seed)
    recorder = Recorder(database, search_id, study, reporter, limits={})
    best_ms = min((trial.objective for trial in trials if trial.objective is not None), default=math.inf)
    lookup = Lookup(plan.recording, recorder, reporter, best_ms)
    with Interrupt(time_limit) as interrupt:
        # One trial at a time, proposed after the sampler was told the one before: benchmarks/replay.py does the same.
        loop = SearchLoop(lookup, recorder, interrupt, budget=plan.budget, batch=1, ahead=0)
        return run_to_end(lambda trials: loop.run(trials).state, stored, database, search_id)
