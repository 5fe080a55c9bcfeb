"""Records that database tests write, each with what the test is about as an argument."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

from evotune_db import Database
from evotune_db.records import (
    CHECK_TOOLS,
    BuildRecord,
    CertificationRecord,
    CheckRecord,
    CheckTool,
    DeviceRecord,
    DiagnosisRecord,
    GateRecord,
    KernelRecord,
    LeaderboardEntry,
    OutcomeRecord,
    ProfileRecord,
    SearchRecord,
    SpaceRecord,
    TimingRecord,
)

MADE = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
DEVICE = DeviceRecord("GPU-11aa", "Test L4", "cuda", {"multiprocessors": 58, "driver": "550.1", "limits": {"l2": 48}})
SEARCH = SearchRecord(
    kernel=KernelRecord("attention_fwd", "a" * 64),
    space=SpaceRecord("l4", "b" * 64, "parameters: {}\n", 5000),
    target="sm_89",
    workloads=("mission", "long"),
    sampler="evolution",
    seed=7,
    budget=20,
    options={"kernel": "/kernels/attention_fwd", "space": None},
    versions={"evotune": "0.1.0", "torch": "2.13.0"},
)

LISTED = LeaderboardEntry(
    rank=1,
    trial=17,
    kernel="attention_fwd",
    target="cpu",
    device="Test CPU",
    workload="mission",
    configuration={"tile_m": 48},
    median_us=2000.0,
    speedup=2.0,
    speedup_low=1.9,
    speedup_high=2.1,
    baseline="sdpa",
    baseline_us=4000.0,
    confirmed=True,
    certified=False,
)
# As documented: scripts read them.
LEADERBOARD_KEYS = [
    *("rank", "trial", "kernel", "target", "device", "workload", "configuration", "median_us"),
    *("speedup", "speedup_low", "speedup_high", "baseline", "baseline_us", "confirmed", "certified"),
    *("tensor_active_pct", "achieved_occupancy_pct"),
]


def build(key: str = "build", succeeded: bool = True) -> BuildRecord:
    if not succeeded:
        return BuildRecord(key, "sm_89", ("-O3",), "nvcc 13", 120.0, False, "out of time")
    return BuildRecord(key, "sm_89", ("-O3",), "nvcc 13", 0.7, True, "log", "c" * 64, 92, 0, 0, 16, 49152, {"sgpr": 4})


def gate(gate: str = "numerics", passed: bool = True, seed: int = 1) -> GateRecord:
    return GateRecord(
        gate, passed, None if passed else "off", "mission", "peaky", seed, 1e-3, 2e-3, 1e-4, 2e-4, 0.5, {"heads": [1.5]}
    )


def timing(
    speedup: float = 2.0,
    workload: str = "mission",
    mode: Literal["cold", "warm"] = "cold",
    phase: Literal["search", "confirm"] = "search",
    censored: bool = False,
    build_key: str = "build",
) -> TimingRecord:
    return TimingRecord(
        workload=workload,
        phase=phase,
        mode=mode,
        build_key=build_key,
        baseline="sdpa_flash",
        median_us=28.0 / speedup,
        p50_us=28.0 / speedup,
        p90_us=29.0 / speedup,
        p99_us=30.0 / speedup,
        baseline_us=28.0,
        speedup=speedup,
        speedup_low=speedup - 0.01,
        speedup_high=speedup + 0.01,
        blocks=12,
        dropped_blocks=1,
        censored=censored,
        samples={"candidate": [[1.25, 1.5]], "baseline": [[2.5, 2.75]]},
        conditions={"clock_mhz": 2040},
    )


def passed(*timings: TimingRecord, same_binary_as: int | None = None) -> OutcomeRecord:
    return OutcomeRecord(
        "passed",
        objective=0.5,
        same_binary_as=same_binary_as,
        device=DEVICE,
        builds=(build(),),
        gates=(gate("build"), gate()),
        timings=timings or (timing(), timing(mode="warm")),
    )


def failed() -> OutcomeRecord:
    return OutcomeRecord(
        "failed", "numerics", "max error nan", device=DEVICE, builds=(build(),), gates=(gate(passed=False),)
    )


def built() -> OutcomeRecord:
    """Return an outcome of a search that only compiles."""
    return OutcomeRecord("built", builds=(build(),), gates=(gate("build"), gate("resources")))


def certification(failing: CheckTool | None = None, build_key: str = "build") -> CertificationRecord:
    """Return a certification of 100 equal runs; `failing` has two findings."""
    checks = tuple(check(tool, 2 if tool == failing else 0) for tool in CHECK_TOOLS)
    return CertificationRecord(build_key, DEVICE, MADE, failing is None, 100, 0, checks)


def check(tool: CheckTool, findings: int = 0) -> CheckRecord:
    return CheckRecord(tool, findings == 0, findings, f"{findings} errors", f"log of {tool}", 2.5)


def profile(occupancy: float | None = 31.25, workload: str = "mission", build_key: str = "build") -> ProfileRecord:
    counters = {"sm__warps_active": {"unit": "%", "value": str(occupancy)}}
    return ProfileRecord(
        build_key, DEVICE, workload, MADE, 5.4, 41.5, 99.5, 12.0, 33.0, occupancy, 128, metrics=counters
    )


def diagnosis(stage: str = "softmax", wrong: int = 3, workload: str = "mission") -> DiagnosisRecord:
    right = DiagnosisRecord(workload, stage, True, 1e-4, 1e-5, 1e-3, 0, None, "...\n...")
    if wrong == 0:
        return right
    return replace(right, passed=False, max_error=0.25, wrong=wrong, first_wrong=(0, 3, 48, 16), tile_map="..X\n.XX")


def propose(database: Database, search: int, number: int) -> int:
    return database.add_trial(search, number, {"tile_m": 16 * number, "persistent": True}, f"key {number}")


def record(database: Database, search: int, number: int, outcome: OutcomeRecord) -> int:
    """Record a whole trial and return its id."""
    trial = propose(database, search, number)
    database.record_outcomes((), measuring=(trial,))
    database.record_outcome(trial, outcome)
    return trial
