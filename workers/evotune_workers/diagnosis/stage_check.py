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
from evotune_workers.runtimes.loaded_build import LoadedBuild
from evotune_workers.runtimes.references import Reference

STRUCTURE = "structure"


def check_stage(build: LoadedBuild, stage: str, wrong: WrongResult, criteria: GateCriteria) -> StageFinding:
    """Launch a build that writes this stage's values, on the inputs of a wrong result, and compare them."""
    workload = traced_workload(build.kernel, build.configuration, wrong)
    if stage == OUTPUT:
        return _check_output(build, workload, wrong, criteria)
    found = next(each for each in build.variant.stages if each.name == stage)
    inputs = _inputs(build, workload, wrong)
    values = found.values(build.configuration, workload, inputs, _launched(build, found, workload, inputs))
    compared = compare(values, found.tile(build.configuration))
    return StageFinding(stage, workload.name, compared.wrong == 0, compared)


def _check_output(build: LoadedBuild, workload: Workload, wrong: WrongResult, criteria: GateCriteria) -> StageFinding:
    """Check the output by the rule of the gate that failed."""
    if wrong.gate == STRUCTURE:
        return _beside_expected(build, workload, build.structure_case(workload, str(wrong.distribution)))
    assert wrong.distribution is not None and wrong.seed is not None
    return _beside_reference(build, workload, build.reference(workload, wrong.distribution, wrong.seed), criteria)


def _beside_expected(build: LoadedBuild, workload: Workload, case: StructureCase) -> StageFinding:
    tolerance = case.expected.new_tensor(case.tolerance)
    values = StageValues(build.launch(workload, case.inputs).double(), case.expected, tolerance)
    compared = compare(values, build.variant.output_tile(build.configuration))
    return StageFinding(OUTPUT, workload.name, compared.wrong == 0, compared)


def _beside_reference(
    build: LoadedBuild, workload: Workload, reference: Reference, criteria: GateCriteria
) -> StageFinding:
    """Compare the output with the reference, within the limits of each group of errors."""
    output = build.launch(workload, reference.inputs)
    groups = _groups(reference.errors_of(output))
    verdicts = [judge_errors(OUTPUT, Observation({}, errors=errors), criteria) for errors in groups]
    limits = reference.output.new_tensor([verdict.max_limit for verdict in verdicts])
    of_each = limits.repeat_interleave(output.numel() // len(groups)).view(output.shape)
    values = StageValues(output.double(), reference.output, of_each)
    compared = compare(values, build.variant.output_tile(build.configuration))
    return StageFinding(OUTPUT, workload.name, all(verdict.passed for verdict in verdicts), compared)


def _groups(errors: Errors) -> list[Errors]:
    """Return the errors of each group separately."""
    columns = zip(*vars(errors).values(), strict=True)
    return [Errors(*((value,) for value in column)) for column in columns]


def _inputs(build: LoadedBuild, workload: Workload, wrong: WrongResult) -> Inputs:
    if wrong.gate == STRUCTURE:
        return build.structure_case(workload, str(wrong.distribution)).inputs
    assert wrong.distribution is not None and wrong.seed is not None
    return build.inputs(workload, wrong.distribution, wrong.seed)


def _launched(build: LoadedBuild, stage: Stage, workload: Workload, inputs: Inputs) -> torch.Tensor:
    """Return the values that the build wrote in place of its output, NaN where it wrote none."""
    empty = stage.empty(build.configuration, workload)
    written = torch.full_like(empty, float("nan"), device=build.runtime.device)
    build.launch_into(workload, inputs, written, build.new_workspace(workload))
    build.runtime.synchronise()
    return written
