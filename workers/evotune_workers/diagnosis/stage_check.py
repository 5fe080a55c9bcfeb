"""The child's half of a diagnosis: one stage of a loaded build is launched and compared."""

from __future__ import annotations

import torch

from evotune_workers.diagnosis.comparison import compare
from evotune_workers.diagnosis.finding import OUTPUT, StageFinding
from evotune_workers.diagnosis.wrong_result import WrongResult, traced_workload
from evotune_workers.gates.error_limits import judge_errors
from evotune_workers.gates.gate import GateCriteria, Observation
from evotune_workers.kernel.contract import Inputs, Stage, StageValues, StructureCase, Workload
from evotune_workers.kernel.output_errors import Errors
from evotune_workers.runtimes.loaded_build import Bench
from evotune_workers.runtimes.references import Example

STRUCTURE = "structure"


def check_stage(bench: Bench, stage: str, wrong: WrongResult, criteria: GateCriteria) -> StageFinding:
    """Launch a build that writes this stage's values, on the inputs of a wrong result, and compare them."""
    workload = traced_workload(bench.kernel, bench.configuration, wrong)
    if stage == OUTPUT:
        return _check_output(bench, workload, wrong, criteria)
    found = next(each for each in bench.variant.stages if each.name == stage)
    inputs = _inputs(bench, workload, wrong)
    values = found.values(bench.configuration, workload, inputs, _launched(bench, found, workload, inputs))
    compared = compare(values, found.tile(bench.configuration))
    return StageFinding(stage, workload.name, compared.wrong == 0, compared)


def _check_output(bench: Bench, workload: Workload, wrong: WrongResult, criteria: GateCriteria) -> StageFinding:
    """Check the output by the rule of the gate that failed."""
    if wrong.gate == STRUCTURE:
        return _beside_expected(bench, workload, bench.structure_case(workload, str(wrong.distribution)))
    assert wrong.distribution is not None and wrong.seed is not None
    return _beside_reference(bench, workload, bench.example(workload, wrong.distribution, wrong.seed), criteria)


def _beside_expected(bench: Bench, workload: Workload, case: StructureCase) -> StageFinding:
    tolerance = case.expected.new_tensor(case.tolerance)
    values = StageValues(bench.launch(workload, case.inputs).double(), case.expected, tolerance)
    compared = compare(values, bench.variant.output_tile(bench.configuration))
    return StageFinding(OUTPUT, workload.name, compared.wrong == 0, compared)


def _beside_reference(bench: Bench, workload: Workload, example: Example, criteria: GateCriteria) -> StageFinding:
    """Compare the output with the reference, within the limits of each group of errors."""
    output = bench.launch(workload, example.inputs)
    groups = _groups(example.errors_of(output))
    verdicts = [judge_errors(OUTPUT, Observation({}, errors=errors), criteria) for errors in groups]
    limits = example.reference.new_tensor([verdict.max_limit for verdict in verdicts])
    of_each = limits.repeat_interleave(output.numel() // len(groups)).view(output.shape)
    values = StageValues(output.double(), example.reference, of_each)
    compared = compare(values, bench.variant.output_tile(bench.configuration))
    return StageFinding(OUTPUT, workload.name, all(verdict.passed for verdict in verdicts), compared)


def _groups(errors: Errors) -> list[Errors]:
    """Return the errors of each group separately."""
    columns = zip(*vars(errors).values(), strict=True)
    return [Errors(*((value,) for value in column)) for column in columns]


def _inputs(bench: Bench, workload: Workload, wrong: WrongResult) -> Inputs:
    if wrong.gate == STRUCTURE:
        return bench.structure_case(workload, str(wrong.distribution)).inputs
    assert wrong.distribution is not None and wrong.seed is not None
    return bench.inputs(workload, wrong.distribution, wrong.seed)


def _launched(bench: Bench, stage: Stage, workload: Workload, inputs: Inputs) -> torch.Tensor:
    """Return the values that the build wrote in place of its output, NaN where it wrote none."""
    empty = stage.empty(bench.configuration, workload)
    written = torch.full_like(empty, float("nan"), device=bench.runtime.device)
    bench.launch_into(workload, inputs, written, bench.new_workspace(workload))
    bench.runtime.synchronise()
    return written
