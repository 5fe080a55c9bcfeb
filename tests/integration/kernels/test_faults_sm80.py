"""The faults that tests/gpu traces to their stages fit the CUDA source as it is, and compile."""

from __future__ import annotations

from pathlib import Path

from evotune.planning.locate import kernel_folder
from evotune_workers.compilers.builder import BuildJob, build_candidate
from tests.support.attention_sm80 import PLAIN
from tests.support.faults import ALL, plant
from tests.support.faults_sm80 import FAULTS, RECORD
from tests.support.nvcc_needed import nvcc_or_skip


def test_every_fault_has_its_place_in_the_source_and_compiles(tmp_path: Path) -> None:
    nvcc_or_skip()
    faulty = plant(kernel_folder("attention_fwd"), tmp_path / "attention_fwd", FAULTS, RECORD)
    candidate = build_candidate(faulty, BuildJob(0, {**PLAIN, "fault": ALL}, "sm80", "sm_89", ("mission",)))
    assert [built.build.failure for built in candidate.builds] == [None]
