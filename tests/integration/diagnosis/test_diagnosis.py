"""A search over an attention kernel with a fault planted in each stage, and what `evotune show` says of them."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from evotune.planning.locate import kernel_folder
from evotune_workers.compilers.builder import BuildJob, StageBuildJob, build_candidate, build_stages
from evotune_workers.diagnosis.finding import StageFinding
from evotune_workers.diagnosis.wrong_result import WrongResult
from evotune_workers.kernel import Configuration, Value
from evotune_workers.kernel.device import cpu_device
from evotune_workers.kernel.folder import load_kernel, named_workload
from evotune_workers.measuring import diagnose
from evotune_workers.measuring.jobs import DiagnoseJob
from evotune_workers.measuring.measurer import Measurer
from tests.support.command import evotune_here, evotune_started, sqlite
from tests.support.faults import Fault, plant
from tests.support.record import wait_for_trials

ATTENTION = kernel_folder("attention_fwd")
# 4 tiles of 128 keys and 11 tiles of 48 queries, the last of which is not whole.
PLAIN: Configuration = {
    "tile_m": 48,
    "tile_n": 128,
    "block_rows": 2,
    "block_cols": 32,
    "output_cols": 32,
    "threads": 2,
    "key_packing": "head",
    "value_packing": "head",
    "loop_order": "panels",
    "prefetch_distance": 0,
    "persistent": False,
    "unroll": 2,
    "exp_unroll": 1,
    "fused_max": True,
}
DOWN, ACROSS = 11, 4
SCALE, ONE_TILE, SUM, MAXIMUM, RESCALE, FEATURES, CRASH, HANG, REFUSED = range(1, 10)
MULTIPLIED = "            multiply_keys(block, buffers, panel, row, first);"
FAULTS = (
    Fault(
        SCALE,
        "cpu_exponential.h",
        "        const double factor = scale * log2_e;",
        "        const double factor = scale * log2_e * 1.02;",
    ),
    Fault(ONE_TILE, "cpu_task.h", MULTIPLIED, f"if (first_key != 2 * TILE_N || first_query != TILE_M)\n{MULTIPLIED}"),
    Fault(
        SUM,
        "cpu_softmax.h",
        "        Vector sum = load(buffers.lane_sum + (row + r) * lanes) * buffers.rescale[r];",
        "        Vector sum = load(buffers.lane_sum + (row + r) * lanes);",
    ),
    Fault(
        MAXIMUM,
        "cpu_softmax.h",
        "        const Vector row_max = broadcast(buffers.row_max[row + r]);",
        "        const Vector row_max = broadcast(buffers.row_max[row]);",
    ),
    Fault(
        RESCALE,
        "cpu_products.h",
        "            store(output + c * lanes, load(output + c * lanes) * buffers.rescale[r] + block[r][c]);",
        "            store(output + c * lanes, load(output + c * lanes) + block[r][c]);",
    ),
    Fault(
        FEATURES,
        "cpu_task.h",
        "            for (int feature = 0; feature < HEAD_DIM; feature += OUTPUT_COLS) {",
        "            for (int feature = 0; feature < HEAD_DIM - OUTPUT_COLS; feature += OUTPUT_COLS) {",
    ),
    # Only builds that stop at a stage do these.
    Fault(
        CRASH,
        "cpu_task.h",
        "        begin();",
        "begin(); if (written_stage == WrittenStage::softmax) __builtin_trap();",
    ),
    Fault(
        HANG,
        "cpu_task.h",
        "        finish();",
        # A lock that is taken twice is waited for in the system: a loop would keep the cores busy until it is killed.
        "omp_lock_t lock; omp_init_lock(&lock);\n"
        "for (int i = 0; i < 2 && written_stage == WrittenStage::scores; ++i) omp_set_lock(&lock);\n"
        "finish();",
    ),
    Fault(
        REFUSED,
        "cpu_task.h",
        "class Task {",
        'static_assert(written_stage == WrittenStage::output, "no stages");\nclass Task {',
    ),
)
# Those that are searched over, one for each stage, and the others.
SEARCHED = {ONE_TILE: "scores", SUM: "softmax", FEATURES: "output"}
OTHERS = {SCALE: "scores", MAXIMUM: "softmax", RESCALE: "output"}
RECORD = ("cpu.cpp", "RECORD(HEAD_DIM)", "RECORD(FAULT) RECORD(HEAD_DIM)")


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Plant every fault in a copy of the kernel's folder."""
    return plant(ATTENTION, tmp_path_factory.mktemp("kernels") / "attention_fwd", FAULTS, RECORD)


@dataclass(frozen=True)
class Searched:
    """A folder with the database of a search, and by their faults its trials and what `evotune show` says of them."""

    folder: Path
    trials: Mapping[int, int]
    details: Mapping[int, dict[str, Any]]

    def stages(self, fault: int) -> dict[str, dict[str, Any]]:
        return {stage["stage"]: stage for stage in self.details[fault]["diagnoses"]}


def shown(folder: Path, trial: int) -> dict[str, Any]:
    found = json.loads(evotune_here("show", str(trial), "--format", "json", folder=folder).stdout)
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, faulty: Path) -> Searched:
    """One search over a fault in each stage."""
    folder = tmp_path_factory.mktemp("search")
    write_space(folder, list(SEARCHED))
    ran = search(folder, faulty, len(SEARCHED))
    assert ran.returncode in (0, 1), ran.stderr
    rows = sqlite(folder / "evotune.db", "SELECT json_extract(configuration, '$.fault'), id FROM trial")
    trials = {int(fault): int(trial) for fault, trial in rows}
    return Searched(folder, trials, {fault: shown(folder, trial) for fault, trial in trials.items()})


def write_space(folder: Path, faults: list[int]) -> None:
    lines = [f"  {name}: {json.dumps([value])}" for name, value in PLAIN.items()]
    head = ["kernel: attention_fwd", "variant: cpu", "parameters:", f"  fault: {faults}"]
    (folder / "space.yaml").write_text("\n".join([*head, *lines]) + "\n")


def search(folder: Path, kernel: Path, budget: int) -> subprocess.CompletedProcess[str]:
    return evotune_here(*search_command(kernel, budget), folder=folder)


def search_command(kernel: Path, budget: int) -> list[str]:
    return ["search", str(kernel), "--space", "space.yaml", "--sampler", "random", "--budget", str(budget)]


@pytest.mark.parametrize("fault", SEARCHED)
def test_every_stage_before_the_one_at_fault_is_right(searched: Searched, fault: int) -> None:
    stages = searched.stages(fault)
    assert list(stages) == ["scores", "softmax", "output"]
    assert next(name for name, stage in stages.items() if not stage["passed"]) == SEARCHED[fault]
    assert not stages["output"]["passed"]
    failed = next(gate for gate in searched.details[fault]["gates"] if not gate["passed"])
    for stage in stages.values():
        told = (stage["workload"], stage["distribution"], stage["seed"])
        assert told == (failed["workload"], failed["distribution"], failed["seed"])


def test_a_search_that_only_fails_spends_its_budget_and_no_more(searched: Searched) -> None:
    query = "SELECT count(*), count(DISTINCT number), min(state), max(state) FROM trial"
    budget = str(len(SEARCHED))
    assert sqlite(searched.folder / "evotune.db", query) == [[budget, budget, "failed", "failed"]]


def test_the_map_marks_the_one_tile_that_is_wrong_in_every_head(searched: Searched) -> None:
    scores = searched.stages(ONE_TILE)["scores"]
    rows = ["." * ACROSS] * DOWN
    rows[1] = "..X."
    assert scores["tile_map"].splitlines() == ["X: wrong; a character is 48 x 128 values", "0-7 of 8:", *rows]
    assert scores["first_wrong"] == [0, 48, 256]
    assert 8 * 48 * 128 * 0.99 < scores["wrong"] <= 8 * 48 * 128


def test_the_map_of_the_output_marks_the_features_that_are_missing(searched: Searched) -> None:
    output = searched.stages(FEATURES)["output"]
    assert output["tile_map"].splitlines() == ["X: wrong; a character is 48 x 32 values", "0-7 of 8:", *[".X"] * DOWN]
    assert output["first_wrong"][:3] == [0, 0, 0] and output["first_wrong"][3] >= 32


def test_show_names_the_stage_in_one_sentence_and_draws_its_tiles(searched: Searched) -> None:
    text = " ".join(evotune_here("show", str(searched.trials[SUM]), folder=searched.folder).stdout.split())
    assert "scores right, softmax is the first stage at fault: max error" in text
    assert "tiles of softmax: X: wrong; a character is 48 x 128 values" in text


def test_an_interrupt_costs_a_diagnosis_and_no_more_and_it_can_be_made_up_for(tmp_path: Path, faulty: Path) -> None:
    write_space(tmp_path, [RESCALE])
    with evotune_started(*search_command(faulty, 1), folder=tmp_path, merged=True) as process:
        wait_for_trials(tmp_path / "evotune.db", 1, process)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode in (1, 130), output
    database = tmp_path / "evotune.db"
    assert sqlite(database, "SELECT state, (SELECT count(*) FROM diagnosis) FROM trial") == [["failed", "0"]]
    diagnosed = evotune_here("diagnose", "1", folder=tmp_path)
    assert "scores and softmax right, output is the first stage at fault" in " ".join(diagnosed.stdout.split())
    assert sqlite(database, "SELECT count(*) FROM diagnosis") == [["3"]]


class Bench:
    """Diagnose builds of a kernel's folder without a search."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.measurer = folder, Measurer(folder, cpu_device())

    def diagnose(self, wrong: WrongResult, **changes: Value) -> dict[str, StageFinding]:
        job = BuildJob(0, {**PLAIN, **changes}, "cpu", "cpu", (wrong.built_for,))
        candidate = build_candidate(self.folder, job)
        macros = candidate.builds[0].macros
        stages = build_stages(self.folder, StageBuildJob("cpu", "cpu", wrong.built_for, macros))
        diagnosis = self.measurer.run(DiagnoseJob(candidate, wrong, stages, "cpu", (1, 2, 3)))
        return {finding.stage: finding for finding in diagnosis.stages}


@pytest.fixture(scope="module")
def planted(faulty: Path) -> Iterator[Bench]:
    made = Bench(faulty)
    yield made
    made.measurer.close()


@pytest.fixture(scope="module")
def honest() -> Iterator[Bench]:
    made = Bench(ATTENTION)
    yield made
    made.measurer.close()


NORMAL = WrongResult("numerics", "mission", "normal", 1, "mission")


@pytest.mark.parametrize(
    ("fault", "stage", "reason"),
    [
        (CRASH, "softmax", "died"),
        (HANG, "scores", "hung and was killed"),
        (REFUSED, "scores", "its build must compile"),
    ],
)
def test_a_stage_that_cannot_be_run_says_why_and_the_others_are_compared(
    planted: Bench, fault: int, stage: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnose, "LIMIT_SECONDS", 3.0)
    found = planted.diagnose(NORMAL, fault=fault)
    assert not found[stage].passed and found[stage].compared is None
    assert reason in (found[stage].reason or "")
    assert found["output"].passed and found["output"].compared is not None


def test_a_stage_whose_python_raises_costs_a_diagnosis_and_no_more(tmp_path: Path) -> None:
    folder = tmp_path / "attention_fwd"
    shutil.copytree(ATTENTION, folder, ignore=shutil.ignore_patterns("__pycache__"))
    stages = folder / "stages.py"
    first = "        hidden = _hidden(shape, inputs)\n"
    assert stages.read_text().count(first) == 1
    stages.write_text(stages.read_text().replace(first, f'        raise ValueError("misspelt")\n{first}'))
    bench = Bench(folder)
    try:
        found = bench.diagnose(NORMAL)
    finally:
        bench.measurer.close()
    assert found["scores"].reason == "the kernel's Python raised: ValueError: misspelt"
    assert found["softmax"].passed and found["output"].passed


@pytest.mark.parametrize("fault", OTHERS)
def test_other_faults_are_traced_to_their_stage_on_random_inputs(planted: Bench, fault: int) -> None:
    found = planted.diagnose(NORMAL, fault=fault)
    assert next(name for name, stage in found.items() if not stage.passed) == OTHERS[fault]
    assert not found["output"].passed


@pytest.mark.parametrize(
    ("workload", "changes"),
    [
        ("causal", {"loop_order": "rows", "fused_max": False, "tile_m": 24, "block_rows": 4}),
        ("mission_fp32", {"key_packing": "shared", "value_packing": "direct", "persistent": True}),
    ],
)
def test_every_stage_of_an_honest_configuration_is_right(
    honest: Bench, workload: str, changes: Mapping[str, Value]
) -> None:
    kernel = load_kernel(ATTENTION)
    tail = kernel.tails(named_workload(kernel, workload), {**PLAIN, **changes})[1].name
    for wrong in (
        WrongResult("numerics", workload, "large", 2, workload),
        WrongResult("structure", workload, "one_hot", None, workload),
        WrongResult("tails", tail, "peaky", 3, workload),
        WrongResult("memory", workload, None, None, workload),
    ):
        found = honest.diagnose(wrong, **changes)
        assert [(stage.passed, stage.reason) for stage in found.values()] == [(True, None)] * 3, (wrong, found)
