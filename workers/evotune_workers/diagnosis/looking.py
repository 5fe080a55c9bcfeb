"""One stage of a loaded build, launched and compared: the child's half of a diagnosis."""

from __future__ import annotations

import torch

from evotune_workers.diagnosis.comparison import compare
from evotune_workers.diagnosis.finding import OUTPUT, StageFinding
from evotune_workers.diagnosis.wrong_result import WrongResult, traced_workload
from evotune_workers.gates.error_limits import judge_errors
from evotune_workers.gates.gate import BenchFacts, Finding
from evotune_workers.kernel.contract import Inputs, StructureCase, Workload
from evotune_workers.kernel.output_errors import Errors
from evotune_workers.kernel.stage import Stage, StageValues
from evotune_workers.runtimes.loaded_build import Bench
from evotune_workers.runtimes.references import Example

STRUCTURE = "structure"


def look_at(bench: Bench, stage: str, wrong: WrongResult, facts: BenchFacts) -> StageFinding:
    """Launches a build that ends at that stage on the inputs that gave a wrong result."""
    workload = traced_workload(bench.kernel, bench.configuration, wrong)
    if stage == OUTPUT:
        return _look_at_output(bench, workload, wrong, facts)
    found = next(each for each in bench.variant.stages if each.name == stage)
    inputs = _inputs(bench, workload, wrong)
    values = found.values(bench.configuration, workload, inputs, _launched(bench, found, workload, inputs))
    compared = compare(values, found.tile(bench.configuration))
    return StageFinding(stage, workload.name, compared.wrong == 0, compared)


def _look_at_output(bench: Bench, workload: Workload, wrong: WrongResult, facts: BenchFacts) -> StageFinding:
    """By the rule of the gate that it failed at."""
    if wrong.gate == STRUCTURE:
        return _beside_expected(bench, workload, bench.structure_case(workload, str(wrong.distribution)))
    assert wrong.distribution is not None and wrong.seed is not None
    return _beside_reference(bench, workload, bench.example(workload, wrong.distribution, wrong.seed), facts)


def _beside_expected(bench: Bench, workload: Workload, case: StructureCase) -> StageFinding:
    tolerance = case.expected.new_tensor(case.tolerance)
    values = StageValues(bench.launch(workload, case.inputs).double(), case.expected, tolerance)
    compared = compare(values, bench.variant.output_tile(bench.configuration))
    return StageFinding(OUTPUT, workload.name, compared.wrong == 0, compared)


def _beside_reference(bench: Bench, workload: Workload, example: Example, facts: BenchFacts) -> StageFinding:
    """Each group of errors has limits of its own."""
    output = bench.launch(workload, example.inputs)
    groups = _groups(example.errors_of(output))
    verdicts = [judge_errors(OUTPUT, Finding({}, errors=errors), facts) for errors in groups]
    limits = example.reference.new_tensor([verdict.max_limit for verdict in verdicts])
    of_each = limits.repeat_interleave(output.numel() // len(groups)).view(output.shape)
    values = StageValues(output.double(), example.reference, of_each)
    compared = compare(values, bench.variant.output_tile(bench.configuration))
    return StageFinding(OUTPUT, workload.name, all(verdict.passed for verdict in verdicts), compared)


def _groups(errors: Errors) -> list[Errors]:
    """The errors of each group by themselves."""
    columns = zip(*vars(errors).values(), strict=True)
    return [Errors(*((value,) for value in column)) for column in columns]


def _inputs(bench: Bench, workload: Workload, wrong: WrongResult) -> Inputs:
    if wrong.gate == STRUCTURE:
        return bench.structure_case(workload, str(wrong.distribution)).inputs
    assert wrong.distribution is not None and wrong.seed is not None
    return bench.inputs(workload, wrong.distribution, wrong.seed)


def _launched(bench: Bench, stage: Stage, workload: Workload, inputs: Inputs) -> torch.Tensor:
    """What the build wrote where its output would go, NaN where it wrote nothing."""
    empty = stage.empty(bench.configuration, workload)
    written = torch.full_like(empty, float("nan"), device=bench.runtime.device)
    bench.launch_into(workload, inputs, written, bench.new_workspace(workload))
    bench.runtime.synchronise()
    return written
