"""The certifications, profiles and diagnoses of one trial as tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from rich.console import RenderableType

from evotune.display.table import Table
from evotune.display.terminal import SECONDS, duration, microseconds, percent

if TYPE_CHECKING:
    from evotune_db.records import CertificationRecord, DiagnosisRecord, ProfileRecord, TrialDetails


def findings(details: TrialDetails) -> Iterator[RenderableType]:
    """Yield the diagnoses, then certifications with the logs of their failed checks, then profiles."""
    yield from diagnoses(details)
    for certification in details.certifications:
        yield from _certification(certification)
    if details.profiles:
        yield _profiles(details.profiles)


def diagnoses(details: TrialDetails) -> Iterator[RenderableType]:
    """Yield for each workload a sentence on the stage at fault, the figures of all stages, and the wrong tiles."""
    stages = sorted(details.diagnoses, key=attrgetter("workload"))
    for workload, of_workload in groupby(stages, key=attrgetter("workload")):
        yield from _diagnosis(workload, list(of_workload))


def _diagnosis(workload: str, stages: Sequence[DiagnosisRecord]) -> Iterator[RenderableType]:
    at_fault = next((stage for stage in stages if not stage.passed and stage.reason is None), None)
    yield f"diagnosis of {workload}{_inputs(stages[0])}: {', '.join(_verdict(stages, at_fault))}"
    yield _stages(stages)
    if at_fault is not None and at_fault.tile_map:
        yield f"tiles of {at_fault.stage}:\n{at_fault.tile_map}\n"


def _inputs(stage: DiagnosisRecord) -> str:
    if stage.distribution is None:
        return ""
    return f" ({stage.distribution})" if stage.seed is None else f" ({stage.distribution}, seed {stage.seed})"


def _verdict(stages: Sequence[DiagnosisRecord], at_fault: DiagnosisRecord | None) -> Iterator[str]:
    """Yield the stages that are right, those that were not compared, and the first one at fault."""
    if all(stage.passed for stage in stages):
        yield "every stage is right"
        return
    for state, names in (
        ("right", [stage.stage for stage in stages if stage.passed]),
        ("not compared", [stage.stage for stage in stages if stage.reason is not None]),
    ):
        if names:
            yield f"{' and '.join(names)} {state}"
    if at_fault is not None:
        yield f"{at_fault.stage} is the first stage at fault: {_fault(at_fault)}"


def _fault(at_fault: DiagnosisRecord) -> str:
    if at_fault.wrong == 0:
        return f"RMS error {_error(at_fault.rms_error)} is too large, though no value is wrong by itself"
    first = "" if at_fault.first_wrong is None else f", the first at {_index(at_fault.first_wrong)}"
    values = "value" if at_fault.wrong == 1 else "values"
    error = f"max error {_error(at_fault.max_error)} where {_error(at_fault.limit)} is allowed"
    return f"{error}, {at_fault.wrong} {values} wrong{first}"


def _stages(stages: Sequence[DiagnosisRecord]) -> Table:
    result = Table("stage", "result", ">max error", ">allowed", ">RMS error", ">wrong", "first wrong")
    for stage in stages:
        if stage.reason is not None:
            result.add_row(stage.stage, f"not compared: {stage.reason}")
            continue
        result.add_row(
            stage.stage,
            "right" if stage.passed else "wrong",
            _error(stage.max_error),
            _error(stage.limit),
            _error(stage.rms_error),
            str(stage.wrong),
            "" if stage.first_wrong is None else _index(stage.first_wrong),
        )
    return result


def _certification(record: CertificationRecord) -> Iterator[RenderableType]:
    verdict = "passed" if record.passed else "not passed"
    runs = f"{record.runs} runs, {record.different_runs} different" if record.runs else "no runs compared"
    place = f"build {record.build_key[:12]} on {record.device.name}, {record.made.strftime(SECONDS)}"
    yield f"certification {verdict}: {place}; {runs}"
    result = Table("check", "result", ">findings", ">time", "summary")
    for check in record.checks:
        outcome = "passed" if check.passed else "not passed"
        result.add_row(check.tool, outcome, str(check.findings), duration(check.seconds), check.summary)
    yield result
    for check in record.checks:
        if not check.passed:
            yield f"log of {check.tool}:\n{check.log.strip() or 'empty'}\n"


def _profiles(profiles: Sequence[ProfileRecord]) -> Table:
    figures = (">duration", ">tensor pipe", ">lanes in use", ">DRAM", ">L2", ">occupancy", ">registers")
    result = Table("workload", "build", *figures, "device", "made", title="profiles", keys=2)
    for profile in profiles:
        percentages = (
            *(profile.tensor_active_pct, profile.warp_execution_efficiency_pct, profile.dram_throughput_pct),
            *(profile.l2_throughput_pct, profile.achieved_occupancy_pct),
        )
        result.add_row(
            profile.workload,
            profile.build_key[:12],
            "not read" if profile.duration_us is None else microseconds(profile.duration_us),
            *("not read" if value is None else percent(value) for value in percentages),
            "not read" if profile.registers is None else str(profile.registers),
            profile.device.name,
            profile.made.strftime(SECONDS),
        )
    return result


def _error(value: float | None) -> str:
    return "nan" if value is None else f"{value:.2e}"


def _index(place: Sequence[int]) -> str:
    return f"[{', '.join(map(str, place))}]"
