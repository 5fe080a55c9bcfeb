"""A recorded search to show commands on: real builds and a real plan, in a record whose figures are made up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from evotune.planning.locate import kernel_folder
from evotune.planning.plan import enumerate_valid, make_plan
from evotune.planning.request import SearchRequest
from evotune.planning.search_record import search_record
from evotune.space import configuration_key
from evotune_db import Database
from evotune_db.records import DeviceRecord, GateRecord, OutcomeRecord, TimingRecord
from evotune_workers.kernel import Configuration
from evotune_workers.kernel.device import cpu_device
from tests.support.export_record import CONFIGURATION, measure

KERNEL = "attention_fwd"
DEVICE = DeviceRecord("CPU-1", "a CPU", "cpu", {})
SPEEDUPS = (1.2, 1.1)


def record_search(file: Path) -> None:
    """Record search 1: trials 1 and 2 passed and stand on the leaderboard, trial 3 gave a wrong result."""
    request = SearchRequest(
        db=str(file), kernel=KERNEL, target="cpu", workloads=("mission",), budget=3, sampler="random"
    )
    plan = make_plan(request)
    valid = enumerate_valid(plan, cpu_device())
    with Database.open(str(file)) as database:
        search = database.start_search(search_record(plan, valid, request))
        for number, (configuration, outcome) in enumerate(_trials()):
            trial = database.add_trial(search, number, configuration, configuration_key(configuration))
            database.record_outcome(trial, outcome)
        database.finish_search(search, "finished")


def _trials() -> Iterator[tuple[Configuration, OutcomeRecord]]:
    for speedup, tile_m in zip(SPEEDUPS, (48, 96), strict=True):
        configuration = {**CONFIGURATION, "tile_m": tile_m}
        yield configuration, _passed(configuration, speedup)
    wrong = GateRecord("numerics", False, "max error nan", "mission", "normal", 7, float("nan"), 1e-3)
    failed = OutcomeRecord("failed", "numerics", "max error nan", device=DEVICE, gates=(wrong,))
    yield {**CONFIGURATION, "tile_m": 24}, failed


def _passed(configuration: Configuration, speedup: float) -> OutcomeRecord:
    details = measure(kernel_folder(KERNEL), configuration).details
    gates = (GateRecord("build", True, seconds=1.0), *details.gates)
    timings = tuple(_timing(timing, speedup) for timing in details.timings)
    return OutcomeRecord(
        "passed", objective=1 / speedup, device=DEVICE, builds=details.builds, gates=gates, timings=timings
    )


def _timing(timing: TimingRecord, speedup: float) -> TimingRecord:
    return replace(
        timing,
        phase="search",
        median_us=timing.baseline_us / speedup,
        speedup=speedup,
        speedup_low=speedup - 0.02,
        speedup_high=speedup + 0.02,
    )
