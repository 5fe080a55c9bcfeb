"""A search on a hundred workers: its loop, samplers and record are real, and jobs take only simulated time."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import cast
from unittest import mock

from rich.console import Console

from evotune.display.progress import PlainReporter
from evotune.planning.plan import enumerate_valid, make_plan
from evotune.planning.request import SearchRequest
from evotune.planning.search_record import search_record
from evotune.search import dispatcher as dispatcher_module
from evotune.search.dispatcher import Dispatcher
from evotune.search.interrupt import Interrupt
from evotune.search.lease import SearchLease
from evotune.search.loop import ClusterWork, SearchLoop
from evotune.search.recorder import Recorder
from evotune.search.reuse import Reuse
from evotune.search.study import Study
from evotune_db import Database
from evotune_workers.cluster.cluster import Cluster
from evotune_workers.cluster.worker_pool import WorkerPool
from tests.support.simulated_cluster import FAILING, GATE, SimulatedCluster, busy_share

SPACE = Path(__file__).parents[3] / "benchmarks" / "data" / "attention_h200_record.yaml"
WORKERS, CORES, TRIALS = 100, 200, 600
# The rest is the end, where a job waits behind another while other workers have none left.
BUSY = 0.95


def test_a_hundred_workers_are_kept_busy_and_each_trial_is_recorded_once(tmp_path: Path) -> None:
    # A search that only builds needs no device here; the simulated workers then measure as well.
    request = SearchRequest(db="", kernel="attention_fwd", target="sm_90", space=str(SPACE), build_only=True)
    plan = make_plan(request)
    device = plan.device
    assert device is not None
    valid = enumerate_valid(plan, device)
    plan = replace(plan, sampler="random", build_only=False, budget=TRIALS)
    reporter = PlainReporter(Console(file=io.StringIO(), width=120))
    cluster = SimulatedCluster(WORKERS, CORES, device)
    with (
        Database.open(str(tmp_path / "many.db")) as database,
        SearchLease(database, print) as lease,
        Interrupt(None) as interrupt,
        mock.patch.object(dispatcher_module, "ray", cluster),
    ):
        search = lease.start(search_record(plan, valid, request))
        study = Study(valid, plan.sampler, plan.seed)
        recorder = Recorder(database, search, study, reporter, plan.space.limits, Reuse(plan, lambda: [device]))
        dispatcher = Dispatcher(cast("Cluster", cluster), cast("WorkerPool", cluster), plan.variant, (1, 2, 3))
        loop = SearchLoop(
            ClusterWork(plan, dispatcher, recorder, reporter), recorder, interrupt, budget=TRIALS, batch=CORES
        )
        assert loop.run(()) == "finished"
        trials = database.load_search(search).trials
    assert busy_share(cluster.actors) >= BUSY
    assert [trial.number for trial in trials] == list(range(TRIALS))
    assert len({trial.configuration_key for trial in trials}) == TRIALS
    assert {trial.number for trial in trials if trial.failed_gate == GATE} == set(range(0, TRIALS, FAILING))
    assert sum(trial.state == "passed" for trial in trials) == TRIALS - TRIALS // FAILING
