"""A leaderboard entry to export: a real build of the real kernel, in a record whose figures are made up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from evotune.export import export_trial
from evotune_db.records import (
    BuildRecord,
    DeviceRecord,
    GateRecord,
    KernelRecord,
    LeaderboardEntry,
    SearchRecord,
    SpaceRecord,
    StoredTrial,
    TimingRecord,
    TrialDetails,
)
from evotune_workers.compilers.build import BuildRequest
from evotune_workers.compilers.cpp import compile_cpp
from evotune_workers.kernel import Configuration
from evotune_workers.kernel_folder import load_kernel, named_workload, pack_kernel

WORKLOAD = "mission"
CONFIGURATION: Configuration = {
    "tile_m": 48,
    "tile_n": 128,
    "block_rows": 6,
    "block_cols": 64,
    "output_cols": 64,
    "threads": 2,
    "key_packing": "shared",
    "value_packing": "direct",
    "loop_order": "rows",
    "prefetch_distance": 0,
    "persistent": True,
    "unroll": 1,
    "exp_unroll": 1,
    "fused_max": True,
}
# Any kernel is this fast, and none is that fast.
EASY_CLAIM, ABSURD_CLAIM = 0.001, 1000.0


@dataclass(frozen=True)
class Measured:
    """What `export_trial` is given."""

    details: TrialDetails
    entry: LeaderboardEntry
    folder: Path

    def export(self, out: Path) -> Path:
        export_trial(self.details, self.entry, self.folder, out)
        return out

    def claiming(self, speedup: float) -> Measured:
        timing = replace(self.details.timings[0], speedup=speedup)
        return replace(
            self, details=replace(self.details, timings=(timing,)), entry=replace(self.entry, speedup=speedup)
        )

    def from_folder(self, folder: Path) -> Measured:
        return replace(self, folder=folder)


def measure(folder: Path, configuration: Configuration) -> Measured:
    """A real build, in a record whose figures are made up."""
    kernel = load_kernel(folder)
    workload = named_workload(kernel, WORKLOAD)
    request = BuildRequest(
        folder, kernel.variant("cpu"), "cpu", kernel.macros(kernel.variant("cpu"), configuration, workload)
    )
    build = compile_cpp(request)
    assert build.failure is None, build.log
    record = BuildRecord(
        key=build.key,
        target=build.target,
        flags=build.flags,
        compiler=build.compiler,
        seconds=build.seconds,
        succeeded=True,
        log=build.log,
        binary_hash=build.binary_hash,
    )
    entry = _entry(configuration)
    return Measured(_details(folder, configuration, record, _timing(record.key), entry), entry, folder)


def _entry(configuration: Configuration) -> LeaderboardEntry:
    return LeaderboardEntry(
        rank=1,
        trial=7,
        kernel="attention_fwd",
        target="cpu",
        device="a CPU",
        workload=WORKLOAD,
        configuration=dict(configuration),
        median_us=3100.0,
        speedup=EASY_CLAIM,
        speedup_low=EASY_CLAIM,
        speedup_high=EASY_CLAIM,
        baseline="sdpa_fp32_upcast",
        baseline_us=3700.0,
        confirmed=True,
        certified=False,
    )


def _timing(build_key: str) -> TimingRecord:
    return TimingRecord(
        workload=WORKLOAD,
        phase="confirm",
        mode="cold",
        build_key=build_key,
        baseline="sdpa_fp32_upcast",
        median_us=3100.0,
        p50_us=3100.0,
        p90_us=3200.0,
        p99_us=3300.0,
        baseline_us=3700.0,
        speedup=EASY_CLAIM,
        speedup_low=EASY_CLAIM,
        speedup_high=EASY_CLAIM,
        blocks=20,
        dropped_blocks=0,
        censored=False,
        samples={},
        conditions={"openmp": "shared with torch"},
    )


def _details(
    folder: Path, configuration: Configuration, build: BuildRecord, timing: TimingRecord, entry: LeaderboardEntry
) -> TrialDetails:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    return TrialDetails(
        trial=StoredTrial(7, 3, dict(configuration), "key", "passed", None, None, 1.0),
        search=2,
        record=SearchRecord(
            kernel=KernelRecord("attention_fwd", pack_kernel(folder).source_hash),
            space=SpaceRecord("cpu", "0", "", 1),
            target="cpu",
            workloads=(WORKLOAD,),
            sampler="random",
            seed=0,
            budget=1,
            options={},
            versions={"evotune": "0.1.0"},
        ),
        device=DeviceRecord("CPU-1", "a CPU", "cpu", {}),
        same_binary_as=None,
        proposed=now,
        finished=now,
        builds=(build,),
        gates=(GateRecord("numerics", True, workload=WORKLOAD, distribution="normal", seed=11),),
        timings=(timing,),
        leaderboard=(entry,),
    )
