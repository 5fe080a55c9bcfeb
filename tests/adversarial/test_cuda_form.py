"""The CUDA form without a GPU: it compiles and records its configuration, and the compiler refuses some faults."""

from __future__ import annotations

import pytest

from evotune_workers.compilers.build import Build
from evotune_workers.kernel.folder import load_kernel
from evotune_workers.runtimes.runtime import parse_identity
from tests.support.cubin import variable
from tests.support.nvcc_needed import nvcc_or_skip

from .case import Case, Refusal
from .cases import CASES
from .trial import FOLDER, TILES, build_fault

KERNEL = load_kernel(FOLDER)
NOT_BUILT = [case for case in CASES if isinstance(case.cuda, Refusal) and case.cuda.gate == "build"]


@pytest.fixture(autouse=True, scope="module")
def nvcc() -> None:
    """Skip these tests without nvcc."""
    nvcc_or_skip()


def build(fault: str, **tiles: int) -> Build:
    return build_fault(KERNEL, fault, "sm80", "sm_89", "small", **tiles).builds[0].build


@pytest.mark.parametrize("fault", ["none", "keeps_by_content"])
def test_a_cubin_says_how_it_was_built(fault: str) -> None:
    cubin = build(fault).binary
    assert cubin is not None
    record = parse_identity(variable(cubin, "evotune_configuration"))
    assert record == {"FAULT": fault, "HEAD_DIM": "64", **{name.upper(): str(n) for name, n in TILES["sm80"].items()}}


@pytest.mark.parametrize("case", NOT_BUILT, ids=lambda case: case.fault)
def test_work_for_others_is_refused_by_the_compiler(case: Case) -> None:
    assert isinstance(case.cuda, Refusal)
    assert case.cuda.reason in (build(case.fault).failure or "")


def test_a_build_that_ignores_its_configuration_is_one_binary() -> None:
    made = [build("ignores_its_configuration", tile_n=tile_n).binary_hash for tile_n in (32, 64)]
    assert made[0] == made[1] is not None
