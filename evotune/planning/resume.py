"""Plan of a resumed search: the same kernel and space, or none at all."""

from __future__ import annotations

from evotune.errors import UserError
from evotune.planning.plan import Plan, make_plan
from evotune.planning.request import IMPORTED, SearchRequest
from evotune_db.records import StoredSearch


def resumed_plan(stored: StoredSearch, request: SearchRequest) -> Plan:
    """Return the plan that a stored search began with, with the request's budget if it has one.

    Raises UserError when the kernel or the space has changed since: its trials could not be compared.
    """
    record = stored.record
    if record.sampler == IMPORTED:
        raise UserError(f"a search must have run here to be resumed, search {stored.id} was imported")
    kernel = request.kernel or str(record.options["kernel"])
    plan = make_plan(
        SearchRequest(
            db=request.db,
            kernel=kernel,
            space=record.options["space"],
            target=record.target,
            workloads=record.workloads,
            budget=resumed_budget(stored, request),
            sampler=record.sampler,
            seed=record.seed,
            ray_address=request.ray_address,
            gpus=request.gpus,
            # Searches that are older than these options lack them.
            build_only=bool(record.options.get("build_only")),
            reuse=bool(record.options.get("reuse", True)),
        )
    )
    if plan.package.source_hash != record.kernel.source_hash:
        raise UserError(
            f"the kernel must be what search {stored.id} began with, {kernel} has changed: start a new search"
        )
    if plan.space.space_hash != record.space.hash:
        raise UserError(f"the space must be what search {stored.id} began with, it has changed: start a new search")
    return plan


def resumed_budget(stored: StoredSearch, request: SearchRequest) -> int:
    """Return the request's budget, else the stored one. Raises UserError when more trials were proposed."""
    budget = request.budget or stored.record.budget
    if budget < len(stored.trials):
        raise UserError(f"the budget must be at least the {len(stored.trials)} trials proposed so far, got {budget}")
    return budget
