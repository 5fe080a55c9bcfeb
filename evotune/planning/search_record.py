"""A plan as the database keeps it: the row of a new search."""

from __future__ import annotations

from collections.abc import Sequence

from evotune.planning import warm_start
from evotune.planning.plan import Plan
from evotune.planning.request import SearchRequest
from evotune.planning.versions import git_version, versions
from evotune.space import ValidSet
from evotune_db.records import KernelRecord, SearchRecord, SpaceRecord, StartingPoint


def search_record(
    plan: Plan, valid: ValidSet, request: SearchRequest, starting_points: Sequence[StartingPoint] = ()
) -> SearchRecord:
    """Return the record of a new search, with the `starting_points` of its warm start."""
    return SearchRecord(
        kernel=KernelRecord(plan.kernel.name, plan.package.source_hash),
        space=SpaceRecord(plan.space.name, plan.space.space_hash, plan.space.text, len(valid)),
        target=plan.target,
        workloads=plan.workloads,
        sampler=plan.sampler,
        seed=plan.seed,
        budget=plan.budget,
        options={
            "kernel": str(plan.folder),
            "space": request.space,
            "ray_address": request.ray_address,
            "build_only": plan.build_only,
            warm_start.OPTION: warm_start.as_option(starting_points) if request.warm_start else None,
            "reuse": plan.reuse,
        },
        versions={**versions(), "git": git_version(plan.folder)},
    )
