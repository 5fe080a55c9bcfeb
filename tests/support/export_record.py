"""A leaderboard entry to export: a real build of the real kernel, in a record whose figures are made up."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from evotune.export import Served, export_package
from evotune.export.integrity import seal
from evotune.space import configuration_key
from evotune_db import Database
from evotune_db.records import (
    BuildRecord,
    DeviceRecord,
    GateRecord,
    KernelRecord,
    LeaderboardEntry,
    OutcomeRecord,
    SearchRecord,
    SpaceRecord,
    StoredTrial,
    TimingRecord,
    TrialDetails,
)
from evotune_workers.compilers.build import BuildRequest
from evotune_workers.compilers.select import compiler_for
from evotune_workers.kernel import Configuration
from evotune_workers.kernel.folder import load_kernel, named_workload, pack_kernel

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
    """A trial with its place on the leaderboard; by itself the best there is, which serves every shape."""

    details: TrialDetails
    entry: LeaderboardEntry
    folder: Path

    def export(self, out: Path, architectures: Sequence[str] = ()) -> Path:
        export_package([self.served()], out, architectures)
        return out

    def served(self, best: LeaderboardEntry | None = None, by_sdpa: bool = False) -> Served:
        return Served(self.entry, self.details, self.folder, best or self.entry, by_sdpa)

    def claiming(self, speedup: float) -> Measured:
        timing = replace(self.details.timings[0], speedup=speedup)
        return replace(
            self, details=replace(self.details, timings=(timing,)), entry=replace(self.entry, speedup=speedup)
        )

    def at(self, workload: str) -> Measured:
        """Return the same build, timed at another workload that it serves."""
        timing, record = replace(self.details.timings[0], workload=workload), self.details.record
        details = replace(self.details, timings=(timing,), record=replace(record, workloads=(workload,)))
        return replace(self, details=details, entry=replace(self.entry, workload=workload))

    def record(self, database: Database) -> int:
        """Write it to a database, as a finished search of its own; return the trial's number there."""
        details = self.details
        search = database.start_search(replace(details.record, options={"kernel": str(self.folder)}))
        configuration = details.trial.configuration
        trial = database.add_trial(search, 0, configuration, configuration_key(configuration))
        outcome = OutcomeRecord(
            "passed",
            device=details.device,
            builds=details.builds,
            gates=details.gates,
            timings=details.timings,
        )
        database.record_outcome(trial, outcome)
        database.finish_search(search, "finished")
        return trial

    def against(self, baseline: str) -> Measured:
        timing = replace(self.details.timings[0], baseline=baseline)
        entry = replace(self.entry, baseline=baseline)
        return replace(self, details=replace(self.details, timings=(timing,)), entry=entry)

    def from_folder(self, folder: Path) -> Measured:
        return replace(self, folder=folder)


def measure(
    folder: Path, configuration: Configuration, target: str = "cpu", workload: str = WORKLOAD, trial: int = 7
) -> Measured:
    """Make a real build, in a record whose figures are made up."""
    kernel = load_kernel(folder)
    variant = kernel.variant_for(target)
    macros = kernel.macros(variant, configuration, named_workload(kernel, workload))
    build = compiler_for(target).compile(BuildRequest(folder, variant, target, macros))
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
    entry = replace(_entry(configuration), target=target, workload=workload, trial=trial)
    return Measured(_details(folder, record, _timing(record.key, workload), entry), entry, folder)


def hide_evotune(folder: Path) -> str:
    """Return a PYTHONPATH with which importing evotune fails."""
    for name in ("evotune", "evotune_workers", "evotune_db"):
        (folder / f"{name}.py").write_text("raise ImportError('an exported kernel must not need evotune')")
    return str(folder)


def reseal(package: Path) -> None:
    """Seal an edited package again, so that the checks after that of its seal can be tested."""
    path = package / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"] = {name: _digest(package / name) for name in manifest["files"]}
    path.write_text(json.dumps({**manifest, "seal": seal(manifest)}))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


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


def _timing(build_key: str, workload: str) -> TimingRecord:
    return TimingRecord(
        workload=workload,
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


def _details(folder: Path, build: BuildRecord, timing: TimingRecord, entry: LeaderboardEntry) -> TrialDetails:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    return TrialDetails(
        trial=StoredTrial(entry.trial, 3, dict(entry.configuration), "key", "passed", None, None, 1.0),
        search=2,
        record=SearchRecord(
            kernel=KernelRecord("attention_fwd", pack_kernel(folder).source_hash),
            space=SpaceRecord("cpu", "0", "", 1),
            target=entry.target,
            workloads=(entry.workload,),
            sampler="random",
            seed=0,
            budget=1,
            options={},
            versions={"evotune": "0.1.0"},
        ),
        device=DeviceRecord("CPU-1", "a CPU", "cpu" if entry.target == "cpu" else "cuda", {}),
        same_binary_as=None,
        proposed=now,
        finished=now,
        builds=(build,),
        gates=(GateRecord("numerics", True, workload=entry.workload, distribution="normal", seed=11),),
        timings=(timing,),
        leaderboard=(entry,),
    )
