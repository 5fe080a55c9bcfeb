"""Choice of the target, its device and its space: as requested, or as this machine suggests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evotune.errors import UserError
from evotune.planning.locate import builtin_spaces
from evotune.planning.machine import Machine
from evotune.space import Space, load_space
from evotune.suggestions import did_you_mean
from evotune_workers.kernel.contract import Kernel, Variant
from evotune_workers.kernel.device import Device, cpu_device
from evotune_workers.kernel.targets import CPU, KNOWN_TARGETS, capability, known_device

AUTO = "auto"


@dataclass(frozen=True)
class Aim:
    """A requested target or `auto`; `build_only`: nothing is measured; `joined`: a cluster measures."""

    target: str
    build_only: bool
    joined: bool


@dataclass(frozen=True)
class Chosen:
    """A target, and a line for the user about the choice, if there is one."""

    target: str
    note: str | None = None


def choose_target(aim: Aim, variants: Sequence[Variant], machine: Machine) -> Chosen:
    """Return the requested target; for `auto` this machine's first GPU that a variant serves, else its CPU.

    Raises UserError for a name that is no target, and where `auto` finds no device.
    """
    if aim.target != AUTO:
        _check_name(aim, machine)
        return Chosen(aim.target)
    served = [gpu.target for gpu in _gpus(variants, machine) if any(each.serves(gpu.target) for each in variants)]
    if served and machine.torch_sees_gpus:
        return Chosen(served[0])
    if any(each.serves(CPU) for each in variants):
        return Chosen(CPU, _why_cpu(aim, served, variants))
    names = ", ".join(each.name for each in variants)
    raise UserError(
        f"the target auto needs a device here that {names} serves, this machine has none: name the target, "
        "with --build-only to compile without measuring"
    )


def device_of(aim: Aim, target: str, machine: Machine) -> Device | None:
    """Return the device whose limits count: this machine's, or to build only, any device of the target.

    Returns None where a cluster's worker will report its own. Raises UserError when this machine cannot measure for the
    target.
    """
    if aim.joined and not aim.build_only:
        return None
    if target == CPU:
        return cpu_device()
    own = machine.gpu(target)
    if aim.build_only:
        return own or _known(target)
    if own is None:
        has = ", ".join(gpu.target for gpu in machine.gpus) or "no GPU that can be used"
        raise UserError(
            f"the target {target} must be a device of this machine, which has {has}: see `evotune doctor`, "
            "or pass --build-only to compile without measuring"
        )
    if not machine.torch_sees_gpus:
        raise UserError(f"the target {target} needs a PyTorch with CUDA, this one has none: see `evotune doctor`")
    return own


def builtin_space(kernel: Kernel, target: str) -> Space:
    """Return the built-in space for a target, else its variant's with the highest target below it, or the lowest.

    A space takes its limits from the device, so that one written for another device is valid, only less suitable.
    Raises UserError when the variant has none.
    """
    try:
        variant = kernel.variant_for(target)
    except ValueError as error:
        raise UserError(f"{error}: pass another --target") from error
    spaces = [load_space(path) for path in builtin_spaces(kernel.name)]
    written_for_it = next((space for space in spaces if space.target == target), None)
    if written_for_it is not None:
        return written_for_it
    own = sorted((space for space in spaces if space.variant == variant.name), key=_number)
    if not own:
        raise UserError(f"no search space of {kernel.name} for {target} comes with evotune: pass one with --space FILE")
    below = [space for space in own if _number(space) <= (capability(target) or 0)]
    return below[-1] if below else own[0]


def _check_name(aim: Aim, machine: Machine) -> None:
    if aim.target in KNOWN_TARGETS or (aim.joined and capability(aim.target)):
        return
    known = (AUTO, *dict.fromkeys([*KNOWN_TARGETS, *(gpu.target for gpu in machine.gpus)]))
    if aim.target not in known:
        raise UserError(
            f"target must be one of {', '.join(known)}, got {aim.target!r}; {did_you_mean(aim.target, known)}"
        )


def _gpus(variants: Sequence[Variant], machine: Machine) -> tuple[Device, ...]:
    """Look for GPUs in a child process, unless the kernel is for CPUs alone."""
    return machine.gpus if any(not each.serves(CPU) for each in variants) else ()


def _why_cpu(aim: Aim, served: Sequence[str], variants: Sequence[Variant]) -> str | None:
    if served:
        return f"the GPU ({served[0]}) is not used: this PyTorch has no CUDA; see `evotune doctor`"
    if aim.joined and any(not each.serves(CPU) for each in variants):
        return "the target is cpu, as this machine has no GPU: name a GPU of the cluster with --target, such as sm_89"
    return None


def _known(target: str) -> Device:
    try:
        return known_device(target)
    except ValueError as error:
        raise UserError(str(error)) from error


def _number(space: Space) -> int:
    return capability(space.target or "") or 0
