"""The benchmark of more GPUs than a host has: a search on workers that take as long as a recorded one's."""

from __future__ import annotations

from pathlib import Path

from benchmarks.paced_gpus import Recording, on_paced_workers, table_line
from benchmarks.virtual.results import Durations
from evotune.planning.plan import make_plan
from evotune.planning.preflight import check_this_machine
from evotune.planning.request import SearchRequest
from tests.support.paths import SAXPY
from tests.support.saxpy import SIXTEEN_BUILDS

TRIALS = 8
READY_SECONDS = 1.0


def test_workers_get_ready_and_take_as_long_as_was_recorded(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(SIXTEEN_BUILDS)
    space = str(tmp_path / "space.yaml")
    request = SearchRequest(db="", kernel=str(SAXPY), space=space, target="cpu", sampler="random", budget=TRIALS)
    plan = make_plan(request)
    recorded = Durations.load("h200")
    paced = Recording(recorded, READY_SECONDS, 0.5)

    run = on_paced_workers(plan, check_this_machine(plan), request, 2, paced)

    assert (run.workers, run.trials) == (2, TRIALS)
    assert run.first_seconds >= READY_SECONDS + 0.5
    rest = sum(recorded.of(number).measure_seconds for number in range(TRIALS)) / 2
    assert run.seconds >= READY_SECONDS + rest / 2
    assert 0 < run.idle_share < 1 and run.build_seconds > 0
    assert table_line(run, run).startswith(f"| 2 paced | {60 * TRIALS / run.seconds:.0f} | 1.00x |")
