"""The targets that are known without a device of theirs."""

from __future__ import annotations

import pytest

from evotune_workers.kernel.targets import KNOWN_TARGETS, capability, known_device

GPUS = [target for target in KNOWN_TARGETS if target != "cpu"]


@pytest.mark.parametrize("target", GPUS)
def test_a_known_device_has_every_limit_that_a_real_one_has(target: str) -> None:
    device = known_device(target)
    assert device.target == target and device.kind == "cuda"
    assert set(device.limits) == {
        *("multiprocessors", "shared_memory_per_block", "shared_memory_per_multiprocessor", "threads_per_block"),
        *("threads_per_multiprocessor", "registers_per_multiprocessor", "blocks_per_multiprocessor", "l2_bytes"),
    }


@pytest.mark.parametrize("target", GPUS)
def test_a_block_may_have_all_shared_memory_of_a_multiprocessor_but_the_1_kb_that_is_reserved(target: str) -> None:
    limits = known_device(target).limits
    assert limits["shared_memory_per_multiprocessor"] - limits["shared_memory_per_block"] == 1024


def test_the_limits_of_an_l4_and_an_h200_are_those_of_their_spaces_comments() -> None:
    l4, h200 = known_device("sm_89"), known_device("sm_90")
    assert (l4.name, l4.limits["multiprocessors"], l4.limits["shared_memory_per_block"]) == ("NVIDIA L4", 58, 101376)
    assert (l4.limits["threads_per_multiprocessor"], l4.cache_bytes) == (1536, 48 << 20)
    assert (h200.name, h200.limits["multiprocessors"]) == ("NVIDIA H200", 132)
    assert (h200.limits["shared_memory_per_block"], h200.cache_bytes) == (232448, 60 << 20)


@pytest.mark.parametrize("target", ["cpu", "sm_75", "sm89", ""])
def test_a_target_without_a_known_device_is_refused_with_those_that_have_one(target: str) -> None:
    with pytest.raises(ValueError, match="sm_80, sm_86, sm_89, sm_90"):
        known_device(target)


def test_the_capability_of_a_target_is_its_number() -> None:
    assert [capability(target) for target in ("sm_89", "sm_90a", "sm_120")] == [89, 90, 120]
    assert [capability(target) for target in ("cpu", "sm89", "sm_9", "sm_90b")] == [None] * 4
