"""On a real GPU: faults planted in the CUDA source are traced to their stage, and honest configurations to none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from evotune.cli import run
from evotune_workers.compilers.builder import StageBuildJob, build_stages
from evotune_workers.compilers.candidate import Candidate
from evotune_workers.diagnosis.finding import StageFinding
from evotune_workers.diagnosis.wrong_result import WrongResult, wrong_result
from evotune_workers.kernel.device import Device
from evotune_workers.kernel.folder import load_kernel, named_workload
from evotune_workers.measuring.jobs import DiagnoseJob
from tests.support.attention_sm80 import CONFIGURATIONS, PLAIN
from tests.support.faults import plant
from tests.support.faults_sm80 import AT_FAULT, CRASH, FAULTS, ONE_TILE, RECORD, SUM

from .conftest import ATTENTION, SEEDS, GpuBench

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(600)]

KERNEL = load_kernel(ATTENTION)


@pytest.fixture(scope="module")
def faulty(gpu: Device, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GpuBench]:
    """Plant every fault in the kernel."""
    folder = plant(ATTENTION, tmp_path_factory.mktemp("kernels") / "attention_fwd", FAULTS, RECORD)
    made = GpuBench(folder, gpu)
    yield made
    made.measurer.close()


def diagnose(bench: GpuBench, candidate: Candidate, wrong: WrongResult) -> dict[str, StageFinding]:
    built = next(built for built in candidate.builds if built.workload == wrong.built_for)
    assert built.build.failure is None, built.build.failure
    job = StageBuildJob("sm80", bench.device.target, built.workload, built.macros)
    stages = build_stages(bench.folder, job)
    diagnosis = bench.measurer.run(DiagnoseJob(candidate, wrong, stages, "sm80", SEEDS))
    return {finding.stage: finding for finding in diagnosis.stages}


@pytest.mark.parametrize("fault", AT_FAULT)
def test_a_fault_is_traced_to_its_stage(faulty: GpuBench, fault: int) -> None:
    candidate = faulty.build({**PLAIN, "fault": fault}, "mission")
    measurement = faulty.measure(candidate)
    wrong = wrong_result(measurement.gates, ["mission"])
    assert wrong is not None, (measurement.failed_gate, measurement.reason)
    for each in (wrong, WrongResult("numerics", "mission", "normal", SEEDS[0], "mission")):
        found = diagnose(faulty, candidate, each)
        assert next(name for name, stage in found.items() if not stage.passed) == AT_FAULT[fault], (each, found)
        assert not found["output"].passed


def test_the_map_marks_the_one_tile_that_is_wrong_in_every_head(faulty: GpuBench) -> None:
    candidate = faulty.build({**PLAIN, "fault": ONE_TILE}, "mission")
    found = diagnose(faulty, candidate, WrongResult("numerics", "mission", "normal", SEEDS[0], "mission"))
    compared = found["scores"].compared
    assert compared is not None
    rows = [".X..", *["...."] * 15]
    assert compared.tile_map.splitlines() == ["X: wrong; a character is 32 x 128 values", "0-7 of 8:", *rows]
    assert (compared.first_wrong, compared.wrong) == ((0, 0, 128), 8 * 32 * 128)


def test_a_stage_that_crashes_says_so_and_the_next_trial_is_measured(faulty: GpuBench) -> None:
    candidate = faulty.build({**PLAIN, "fault": CRASH}, "mission")
    found = diagnose(faulty, candidate, WrongResult("numerics", "mission", "normal", SEEDS[0], "mission"))
    assert found["softmax"].compared is None and "died" in (found["softmax"].reason or "")
    assert found["scores"].passed and found["output"].passed
    assert faulty.measure(candidate).failed_gate is None


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_stage_of_an_honest_configuration_is_right(attention: GpuBench, name: str) -> None:
    workload, configuration = CONFIGURATIONS[name]
    if configuration["split_merge"] == "cluster" and attention.device.target != "sm_90":
        pytest.skip("clusters need compute capability 9.0")
    candidate = attention.build(configuration, workload)
    tails = [tail.name for tail in KERNEL.tails(named_workload(KERNEL, workload), configuration)]
    for wrong in (
        *(WrongResult("numerics", workload, each, SEEDS[1], workload) for each in KERNEL.distributions),
        *(WrongResult("structure", workload, each, None, workload) for each in ("one_hot", "uniform_scores")),
        *(WrongResult("tails", tail, "normal", SEEDS[0], workload) for tail in tails),
    ):
        found = diagnose(attention, candidate, wrong)
        states = {stage: (finding.passed, finding.reason) for stage, finding in found.items()}
        assert set(states.values()) == {(True, None)}, (wrong, found)


def test_a_workload_with_too_many_scores_is_looked_at_in_part(attention: GpuBench) -> None:
    name = "4x32x2048x64_causal"
    candidate = attention.build(PLAIN, name)
    found = diagnose(attention, candidate, WrongResult("numerics", name, "normal", SEEDS[0], name))
    assert {(finding.passed, finding.workload) for finding in found.values()} == {(True, f"2x2048x2048x64 of {name}")}


def test_a_search_records_the_stage_and_show_tells_it(
    faulty: GpuBench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = tmp_path / "space.yaml"
    values: Mapping[str, object] = {**PLAIN, "fault": SUM}
    lines = [f"  {name}: [{str(value).lower()}]" for name, value in values.items()]
    space.write_text("\n".join(["kernel: attention_fwd", "variant: sm80", "parameters:", *lines]) + "\n")
    db = str(tmp_path / "gpu.db")
    search = ["search", str(faulty.folder), "--space", str(space), "--sampler", "random", "--budget", "1", "--db", db]
    assert run(search) == 1, "nothing passed"
    capsys.readouterr()
    assert run(["show", "1", "--db", db]) == 0
    assert "scores right, softmax is the first stage at fault" in " ".join(capsys.readouterr().out.split())
