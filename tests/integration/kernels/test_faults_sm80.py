"""The faults that tests/gpu traces to their stages fit the CUDA source as it is, and compile."""

from __future__ import annotations

from pathlib import Path

import pytest

from evotune.planning.locate import kernel_folder
from evotune_workers.compilers.builder import BuildJob, build_candidate
from tests.support.attention_sm80 import PLAIN
from tests.support.faults import plant
from tests.support.faults_sm80 import FAULTS, RECORD
from tests.support.nvcc_needed import nvcc_or_skip


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    nvcc_or_skip()
    return plant(kernel_folder("attention_fwd"), tmp_path_factory.mktemp("kernels") / "attention_fwd", FAULTS, RECORD)


@pytest.mark.parametrize("fault", [fault.number for fault in FAULTS])
def test_a_fault_compiles(faulty: Path, fault: int) -> None:
    candidate = build_candidate(faulty, BuildJob(0, {**PLAIN, "fault": fault}, "sm80", "sm_89", ("mission",)))
    assert [built.build.failure for built in candidate.builds if built.build.failure] == []
