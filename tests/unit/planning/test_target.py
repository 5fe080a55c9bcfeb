"""The target, device and space of a search, on machines with GPUs and without; GPUs here are known ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evotune.errors import UserError
from evotune.planning.locate import kernel_folder
from evotune.planning.machine import Machine
from evotune.planning.target import Aim, builtin_space, choose_target, device_of
from evotune_workers.kernel.folder import load_kernel
from evotune_workers.kernel.targets import known_device

KERNEL = load_kernel(kernel_folder("attention_fwd"))
CPU, SM80 = (KERNEL.variant(name) for name in ("cpu", "sm80"))
HERE = Aim("auto", build_only=False, joined=False)


def machine(*targets: str, torch: bool = True) -> Machine:
    made = Machine()
    made.gpus = tuple(known_device(target) for target in targets)
    made.torch_sees_gpus = torch
    return made


def test_auto_takes_a_gpu_that_a_variant_serves() -> None:
    assert choose_target(HERE, KERNEL.variants, machine("sm_89")).target == "sm_89"


def test_auto_takes_the_cpu_where_there_is_no_gpu() -> None:
    chosen = choose_target(HERE, KERNEL.variants, machine())
    assert (chosen.target, chosen.note) == ("cpu", None)


def test_auto_takes_the_cpu_where_torch_cannot_use_the_gpu_and_says_so() -> None:
    chosen = choose_target(HERE, KERNEL.variants, machine("sm_89", torch=False))
    assert chosen.target == "cpu" and chosen.note is not None and "sm_89" in chosen.note


def test_auto_follows_a_space_that_is_for_a_cpu() -> None:
    assert choose_target(HERE, [CPU], machine("sm_90")).target == "cpu"


def test_a_kernel_for_cpus_looks_for_no_gpu() -> None:
    unasked = Machine()
    assert choose_target(HERE, [CPU], unasked).target == "cpu"
    assert "gpus" not in vars(unasked)


def test_auto_without_any_device_says_how_to_build_all_the_same() -> None:
    with pytest.raises(UserError, match=r"a device here that sm80 serves.*--build-only"):
        choose_target(HERE, [SM80], machine())


def test_auto_on_a_cluster_says_that_it_means_this_machine() -> None:
    chosen = choose_target(Aim("auto", build_only=False, joined=True), KERNEL.variants, machine())
    assert chosen.target == "cpu" and chosen.note is not None and "--target" in chosen.note


@pytest.mark.parametrize(("name", "nearest"), [("sm89", "sm_89"), ("sm_98", "sm_90"), ("gpu", "cpu"), ("atuo", "auto")])
def test_a_misspelt_target_is_answered_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(UserError, match=rf"got '{name}'; did you mean '{nearest}'\?$"):
        choose_target(Aim(name, build_only=True, joined=False), KERNEL.variants, machine())


def test_a_gpu_of_the_machine_or_of_the_cluster_may_be_one_that_is_not_known() -> None:
    blackwell = machine()
    blackwell.gpus = (replace(known_device("sm_90"), target="sm_120"),)
    assert choose_target(Aim("sm_120", False, joined=False), KERNEL.variants, blackwell).target == "sm_120"
    assert choose_target(Aim("sm_120", False, joined=True), KERNEL.variants, machine()).target == "sm_120"


def test_what_is_to_be_measured_here_needs_the_device_here() -> None:
    with pytest.raises(UserError, match=r"sm_89 must be a device of this machine, which has sm_90: .*--build-only"):
        device_of(HERE, "sm_89", machine("sm_90"))
    with pytest.raises(UserError, match="has no GPU that can be used"):
        device_of(HERE, "sm_89", machine())
    with pytest.raises(UserError, match="needs a PyTorch with CUDA"):
        device_of(HERE, "sm_89", machine("sm_89", torch=False))
    assert device_of(HERE, "sm_89", machine("sm_89")) == known_device("sm_89")


def test_to_build_only_a_known_device_will_do_and_a_real_one_is_preferred() -> None:
    build_only = Aim("sm_89", build_only=True, joined=False)
    found = device_of(build_only, "sm_89", machine())
    assert found is not None and found.name == "NVIDIA L4"
    real = machine("sm_89", torch=False)
    assert device_of(build_only, "sm_89", real) is real.gpus[0]
    with pytest.raises(UserError, match="a device is known for sm_80, sm_86, sm_89, sm_90, got sm_120"):
        device_of(build_only, "sm_120", machine())


def test_the_device_of_a_cluster_is_known_when_its_workers_answer() -> None:
    assert device_of(Aim("sm_89", build_only=False, joined=True), "sm_89", machine()) is None


@pytest.mark.parametrize(
    ("target", "space"),
    [("cpu", "cpu"), ("sm_86", "l4"), ("sm_89", "l4"), ("sm_90", "h200"), ("sm_120", "h200")],
)
def test_a_target_has_the_space_written_for_it_or_the_nearest(target: str, space: str) -> None:
    assert builtin_space(KERNEL, target).name == space


def test_a_target_that_no_variant_serves_is_told_the_variants() -> None:
    with pytest.raises(UserError, match="the variants cpu, sm80, got sm_75"):
        builtin_space(KERNEL, "sm_75")
