"""Plan of a search, made from a request: names resolved, the space enumerated, the budget checked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from evotune.errors import UserError
from evotune.planning.locate import kernel_folder, space_file
from evotune.planning.machine import Machine
from evotune.planning.request import BUILD_ONLY_SAMPLERS, DEFAULT_SAMPLER, SearchRequest
from evotune.planning.target import Aim, builtin_space, choose_target, device_of
from evotune.samplers import SAMPLERS
from evotune.space import Space, ValidSet, load_space
from evotune.suggestions import did_you_mean
from evotune_workers.kernel.contract import Configuration, Kernel, Variant
from evotune_workers.kernel.device import Device
from evotune_workers.kernel.folder import KernelError, KernelPackage, load_kernel, named_workload, pack_kernel
from evotune_workers.kernel.targets import CPU


@dataclass(frozen=True)
class Plan:
    """Kernel, space, target and budget of a search, with everything that these need.

    `device` is the one whose limits count, None until a cluster's worker has reported its own. `reuse`: take over
    outcomes of other searches. `note` is a line for the user.
    """

    folder: Path
    package: KernelPackage
    kernel: Kernel
    space: Space
    target: str
    device: Device | None
    workloads: tuple[str, ...]
    sampler: str
    seed: int
    budget: int
    build_only: bool
    reuse: bool
    note: str | None

    @property
    def variant(self) -> Variant:
        """Variant of the kernel that is built."""
        return self.kernel.variant(self.space.variant)


def make_plan(request: SearchRequest, machine: Machine | None = None) -> Plan:
    """Resolve every name of a request. Raises UserError for a wrong one, and for one that this machine cannot do."""
    assert request.kernel is not None and request.budget is not None
    machine = machine or Machine()
    folder = kernel_folder(request.kernel)
    try:
        kernel, package = load_kernel(folder), pack_kernel(folder)
    except KernelError as error:
        raise UserError(str(error)) from error
    aim = Aim(request.target, request.build_only, joined=request.ray_address is not None)
    space = _requested_space(kernel, request.space)
    variants = kernel.variants if space is None else (kernel.variant(space.variant),)
    chosen = choose_target(aim, variants, machine)
    space = space or builtin_space(kernel, chosen.target)
    _check_gpus(request, chosen.target)
    _check_served(kernel, space, chosen.target)
    return Plan(
        folder,
        package,
        kernel,
        space,
        chosen.target,
        device_of(aim, chosen.target, machine),
        _workloads(kernel, kernel.variant(space.variant), request.workloads),
        sampler_of(request),
        request.seed,
        request.budget,
        request.build_only,
        request.reuse,
        chosen.note,
    )


def enumerate_valid(plan: Plan, device: Device) -> ValidSet:
    """Return the configurations that are valid on a device for every workload.

    Raises UserError when the budget exceeds them.
    """
    valid = plan.space.enumerate(device.limits, _Derived(plan))
    check_budget(plan.budget, valid)
    return valid


def check_budget(budget: int, valid: ValidSet) -> None:
    """Raise UserError when a budget exceeds the number of valid configurations."""
    if budget > len(valid):
        raise UserError(
            f"the budget must be at most the number of valid configurations ({len(valid)}), got {budget}:"
            f" pass --budget {len(valid)} to try them all"
        )


def sampler_of(request: SearchRequest) -> str:
    """Return the requested sampler, or the default. Raises UserError for one that is unknown or does not fit."""
    if request.build_only:
        name = request.sampler or BUILD_ONLY_SAMPLERS[0]
        _check_names("with --build-only nothing is timed to learn from: sampler", (name,), BUILD_ONLY_SAMPLERS)
        return name
    name = request.sampler or DEFAULT_SAMPLER
    _check_names("sampler", (name,), SAMPLERS)
    return name


def _requested_space(kernel: Kernel, name: str | None) -> Space | None:
    """Return the requested space, of this kernel and of a variant that it has; None without a request."""
    if name is None:
        return None
    space = load_space(space_file(kernel.name, name))
    if space.kernel != kernel.name:
        raise UserError(
            f"the space must be for the kernel {kernel.name}, got one for {space.kernel}: pass another --space"
        )
    _check_names("the space's variant", (space.variant,), [variant.name for variant in kernel.variants])
    return space


def _check_gpus(request: SearchRequest, target: str) -> None:
    if request.gpus is not None and (target == CPU or request.build_only):
        what = "nothing is measured with --build-only" if request.build_only else f"the target is {target}"
        raise UserError(f"--gpus asks for GPUs to measure on, got {request.gpus} where {what}; leave it out")


def _check_served(kernel: Kernel, space: Space, target: str) -> None:
    if not kernel.variant(space.variant).serves(target):
        raise UserError(
            f"the space must be for a variant that serves {target}, {space.name} is for {space.variant}: "
            "pass another --space or --target"
        )


def _workloads(kernel: Kernel, variant: Variant, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Return the requested workloads, else the first that the variant supports."""
    _check_names("workload", wanted, [workload.name for workload in kernel.workloads])
    supported = [workload.name for workload in kernel.workloads if variant.supports(workload)]
    for name in wanted:
        if name not in supported:
            raise UserError(
                f"workload must be one that variant {variant.name} supports ({', '.join(supported)}), got {name}: "
                "pass another --workload or --target"
            )
    if not supported:
        raise UserError(f"variant {variant.name} must support a workload of {kernel.name}, got none: see its kernel.py")
    return wanted or (supported[0],)


def _check_names(what: str, names: Collection[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise UserError(f"{what} must be one of {', '.join(known)}, got {name!r}; {did_you_mean(name, known)}")


class _Derived:
    """Gives each derived quantity at its largest over the workloads, so that a limit on it holds for all of them."""

    def __init__(self, plan: Plan) -> None:
        self._variant = plan.variant
        self._workloads = [named_workload(plan.kernel, name) for name in plan.workloads]

    def __call__(self, configuration: Configuration) -> Mapping[str, int]:
        each = [self._variant.derived(configuration, workload) for workload in self._workloads]
        if len(each) == 1:
            return each[0]
        return {quantity: max(derived[quantity] for derived in each) for quantity in each[0]}
