"""Searches that only build: the outcome of a trial, and the figures over all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from evotune.planning.plan import Plan
from evotune.search.outcomes import build_gates, build_records
from evotune.search.result import BuildFigures, Spread
from evotune_db import Database
from evotune_db.records import BuildRecord, OutcomeRecord
from evotune_workers.compilers.candidate import Candidate
from evotune_workers.kernel.contract import Configuration
from evotune_workers.kernel.folder import named_workload

# Fields of a compiler's report, which may lack some. All but `registers` and `seconds` are bytes.
REPORTED = ("registers", "spill_stores", "spill_loads", "stack_bytes")


def built_outcome(candidate: Candidate, limits: Mapping[str, int]) -> OutcomeRecord:
    """Return the outcome of a candidate that was built and not measured."""
    return OutcomeRecord("built", builds=build_records(candidate), gates=build_gates(candidate, limits))


def build_figures(plan: Plan, database: Database, search_id: int) -> BuildFigures:
    """Return the figures over all trials that the search recorded."""
    trials, builds = database.load_search(search_id).trials, database.builds(search_id)
    built = [trial for trial in trials if trial.state == "built"]
    figures = [_figures(plan, trial.configuration, builds[trial.id]) for trial in built]
    names = [name for name in (*REPORTED, "shared_bytes", "seconds") if any(name in each for each in figures)]
    return BuildFigures(
        built=len(built),
        without_spills=sum(not any(map(spills, builds[trial.id])) for trial in built),
        failures=Counter(trial.reason or "no reason given" for trial in trials if trial.state == "failed"),
        spreads={name: _spread([each[name] for each in figures if name in each]) for name in names},
    )


def _figures(plan: Plan, configuration: Configuration, builds: Sequence[BuildRecord]) -> dict[str, float]:
    """Return each figure at its largest over a trial's builds, without those that a compiler does not report."""
    launch_shared = _launch_shared_bytes(plan, configuration)
    reports = [_report(build, launch_shared) for build in builds]
    return {name: max(report[name] for report in reports) for name in set.intersection(*map(set, reports))}


def _report(build: BuildRecord, launch_shared: int) -> dict[str, float]:
    static = build.shared_bytes
    found = {name: getattr(build, name) for name in REPORTED}
    found |= {"shared_bytes": None if static is None else static + launch_shared, "seconds": build.seconds}
    return {name: value for name, value in found.items() if value is not None}


def _launch_shared_bytes(plan: Plan, configuration: Configuration) -> int:
    """Return the shared memory that the kernel asks for at launch, at its largest over the workloads."""
    geometries = [
        plan.variant.geometry(configuration, named_workload(plan.kernel, name), resident_blocks=1)
        for name in plan.workloads
    ]
    return max(geometry.shared_bytes if geometry else 0 for geometry in geometries)


def spills(build: BuildRecord) -> bool:
    """Return True if registers were spilled to memory."""
    return bool(build.spill_stores or build.spill_loads)


def _spread(values: Sequence[float]) -> Spread:
    # Values that occurred, not means of two: a build has a whole number of registers.
    least, median, nine_in_ten, most = np.quantile(values, (0, 0.5, 0.9, 1), method="inverted_cdf").tolist()
    return Spread(least, median, nine_in_ten, most)
