"""A search on a hundred workers: its loop, samplers and record are real, and jobs take only simulated time."""

from __future__ import annotations

from pathlib import Path

from evotune_db.records import StoredTrial
from tests.support.simulated.cluster import FAILING, GATE, SimulatedCluster, busy_share
from tests.support.simulated.search import simulated_search

WORKERS, CORES, TRIALS = 100, 200, 600
# The rest is the end, where a job waits behind another while other workers have none left.
BUSY = 0.95


def test_a_hundred_workers_are_kept_busy_and_each_trial_is_recorded_once(tmp_path: Path) -> None:
    trials: tuple[StoredTrial, ...] = ()
    with simulated_search(tmp_path / "many.db", TRIALS, lambda device: SimulatedCluster(WORKERS, CORES, device)) as run:
        assert run.state == "finished"
        trials = run.database.load_search(run.search_id).trials
    assert busy_share(run.cluster.actors) >= BUSY
    assert [trial.number for trial in trials] == list(range(TRIALS))
    assert len({trial.configuration_key for trial in trials}) == TRIALS
    assert {trial.number for trial in trials if trial.failed_gate == GATE} == set(range(0, TRIALS, FAILING))
    assert sum(trial.state == "passed" for trial in trials) == TRIALS - TRIALS // FAILING
