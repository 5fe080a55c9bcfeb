"""Builds of the CUDA source that stop at a stage compile with the real nvcc, in every way that keys reach a warp."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from evotune.planning.locate import kernel_folder
from evotune_workers.compilers.build import BuildRequest
from evotune_workers.compilers.builder import STAGE_MACRO, BuildJob, StageBuildJob, build_candidate, build_stages
from evotune_workers.compilers.nvcc import compile_nvcc
from evotune_workers.kernel import Value
from evotune_workers.kernel.folder import load_kernel
from tests.support.attention_sm80 import CONFIGURATIONS, PLAIN
from tests.support.nvcc_needed import nvcc_or_skip

FOLDER = kernel_folder("attention_fwd")
KERNEL = load_kernel(FOLDER)
VARIANT = KERNEL.variant("sm80")
# Each has calls of its own that record.
EACH_WAY_TO_ATTEND = ("plain", "overlapped")


@pytest.fixture(autouse=True, scope="module")
def nvcc() -> None:
    nvcc_or_skip()


@pytest.mark.parametrize("name", EACH_WAY_TO_ATTEND)
def test_builds_of_every_stage_compile(name: str) -> None:
    workload, configuration = CONFIGURATIONS[name]
    made = build_stages(FOLDER, StageBuildJob("sm80", "sm_89", workload, macros(workload, configuration)))
    assert {stage.stage: stage.built.build.failure for stage in made} == {"scores": None, "softmax": None}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_builds_of_the_stage_that_records_most_compile(name: str) -> None:
    """A build of the scores records them, and no row sums of each group of keys."""
    workload, configuration = CONFIGURATIONS[name]
    target = "sm_90" if configuration["split_merge"] == "cluster" else "sm_89"
    request = {**macros(workload, configuration), STAGE_MACRO: "softmax"}
    assert compile_nvcc(BuildRequest(FOLDER, VARIANT, target, request)).failure is None


def test_a_stage_that_there_is_not_does_not_compile() -> None:
    request = {**macros("mission", PLAIN), STAGE_MACRO: "merge"}
    assert compile_nvcc(BuildRequest(FOLDER, VARIANT, "sm_89", request)).failure is not None


@pytest.mark.parametrize("name", EACH_WAY_TO_ATTEND)
def test_an_ordinary_build_holds_nothing_of_the_stages(name: str, tmp_path: Path) -> None:
    """Equal code is an equal binary: that of a copy without a single call that records."""
    workload, configuration = CONFIGURATIONS[name]
    bare = without_recording(tmp_path)
    job = BuildJob(0, configuration, "sm80", "sm_89", (workload,))
    ours, theirs = (build_candidate(folder, job).builds[0].build for folder in (FOLDER, bare))
    assert ours.key != theirs.key and ours.binary_hash == theirs.binary_hash is not None


def without_recording(parent: Path) -> Path:
    """Make a copy of the folder whose warps never call the recording."""
    copy = parent / "attention_fwd"
    shutil.copytree(FOLDER, copy, ignore=shutil.ignore_patterns("__pycache__"))
    source = copy / "sm80" / "sm80.cu"
    lines = source.read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.strip().startswith(("recorder.scores(", "recorder.probabilities("))]
    assert len(lines) - len(kept) == 4, "two calls in each way to attend"
    source.write_text("".join(kept))
    return copy


def macros(workload: str, configuration: dict[str, Value]) -> dict[str, Value]:
    """Return the macros of an ordinary build."""
    shape = next(each for each in KERNEL.workloads if each.name == workload)
    return dict(KERNEL.macros(VARIANT, configuration, shape))
