"""From a request to everything a search needs to start: names resolved, the space enumerated, the budget checked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from evotune.errors import UserError
from evotune.facts import git_facts, versions
from evotune.locate import kernel_folder, space_file
from evotune.request import SearchRequest
from evotune.samplers import SAMPLERS
from evotune.space import Space, ValidSet, load_space
from evotune.suggestions import did_you_mean
from evotune_db.records import KernelRecord, SearchRecord, SpaceRecord
from evotune_workers.device import Device
from evotune_workers.kernel import Configuration, Kernel
from evotune_workers.kernel_folder import KernelError, KernelPackage, load_kernel, named_workload, pack_kernel


@dataclass(frozen=True)
class Plan:
    """What a search tries, and with what."""

    folder: Path
    package: KernelPackage
    kernel: Kernel
    space: Space
    target: str
    workloads: tuple[str, ...]
    sampler: str
    seed: int
    budget: int


def make_plan(request: SearchRequest) -> Plan:
    """Resolves every name of a request; UserError for each that is wrong."""
    assert request.kernel is not None and request.budget is not None
    folder = kernel_folder(request.kernel)
    try:
        kernel = load_kernel(folder)
        package = pack_kernel(folder)
    except KernelError as error:
        raise UserError(str(error)) from error
    workloads = request.workloads or (kernel.workloads[0].name,)
    _check_names("workload", workloads, [workload.name for workload in kernel.workloads])
    _check_names("sampler", (request.sampler,), SAMPLERS)
    target = resolve_target(kernel, request.target)
    space = load_space(space_file(kernel.name, request.space or target))
    if space.kernel != kernel.name:
        raise UserError(
            f"the space must be for the kernel {kernel.name}, got one for {space.kernel}: pass another --space"
        )
    if space.variant != target:
        raise UserError(
            f"the space must be for the variant {target}, got one for {space.variant}: pass another --space"
        )
    return Plan(folder, package, kernel, space, target, workloads, request.sampler, request.seed, request.budget)


def resolve_target(kernel: Kernel, target: str) -> str:
    """The target to build for: `auto` is this machine's; UserError when no variant of the kernel serves it."""
    if target == "auto":
        target = "cpu"
    _check_names("target", (target,), [variant.name for variant in kernel.variants])
    return target


def enumerate_valid(plan: Plan, device: Device) -> ValidSet:
    """The configurations that are valid on a device for every workload; UserError when the budget exceeds them."""
    valid = plan.space.enumerate(device.limits, lambda configuration: _derived(plan, configuration))
    if plan.budget > len(valid):
        raise UserError(
            f"the budget must be at most the number of valid configurations ({len(valid)}), got {plan.budget}:"
            f" pass --budget {len(valid)} to try them all"
        )
    return valid


def search_record(plan: Plan, valid: ValidSet, request: SearchRequest) -> SearchRecord:
    """The search as the database keeps it."""
    return SearchRecord(
        kernel=KernelRecord(plan.kernel.name, plan.package.source_hash),
        space=SpaceRecord(plan.space.name, plan.space.space_hash, plan.space.text, len(valid)),
        target=plan.target,
        workloads=plan.workloads,
        sampler=plan.sampler,
        seed=plan.seed,
        budget=plan.budget,
        options={"kernel": str(plan.folder), "space": request.space, "ray_address": request.ray_address},
        versions={**versions(), "git": git_facts(plan.folder)},
    )


def _check_names(what: str, names: Collection[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise UserError(f"{what} must be one of {', '.join(known)}, got {name!r}; {did_you_mean(name, known)}")


def _derived(plan: Plan, configuration: Configuration) -> Mapping[str, int]:
    """Each derived quantity at its largest over the workloads, so that a limit on it holds for all of them."""
    largest: dict[str, int] = {}
    for name in plan.workloads:
        for quantity, value in plan.kernel.derived(configuration, named_workload(plan.kernel, name)).items():
            largest[quantity] = max(value, largest.get(quantity, value))
    return largest
