"""The death of a child is told with its workload, and damage to the heap as what it is."""

from __future__ import annotations

import pytest

from evotune_workers.measuring.deaths import explained


@pytest.mark.parametrize(
    ("death", "told"),
    [
        ("killed by SIGKILL", "killed by SIGKILL"),
        ("killed by SIGSEGV ([3x17x33x64 causal])", "killed by SIGSEGV at the workload 3x17x33x64 causal"),
        (
            "killed by SIGABRT ([small] double free or corruption (out))",
            "the kernel wrote outside its memory at the workload small or before, as the C library found:"
            " double free or corruption (out) (killed by SIGABRT)",
        ),
        (
            "killed by SIGABRT ([small] terminate called after throwing an instance of 'std::bad_alloc')",
            "killed by SIGABRT at the workload small (terminate called after throwing an instance of 'std::bad_alloc')",
        ),
    ],
)
def test_a_death_is_explained(death: str, told: str) -> None:
    assert explained(death) == told
