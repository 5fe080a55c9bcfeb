"""Kernels that are wrong or cheat, in their CPU form: each is refused at its gate, with its reason."""

from __future__ import annotations

import os
import queue
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from evotune_workers.gates.gate import GateResult
from evotune_workers.kernel.folder import load_kernel, named_workload
from evotune_workers.measuring.child_session import Session
from evotune_workers.measuring.measurer import Measurer

from .case import Case, Refusal, both
from .cases import CASES
from .seeds import failing_seeds, passing_seeds
from .trial import FOLDER, SEEDS, TILES, assert_refused, build_fault, confirmed, one_core, verdict

KERNEL = load_kernel(FOLDER)
SHOWN = [case for case in CASES if isinstance(case.cpu, Refusal)]
# Gates that compare times.
OF_TIME = ("plausibility", "timing", "confirm")
TIMED = [case for case in SHOWN if isinstance(case.cpu, Refusal) and case.cpu.gate in OF_TIME]
HONEST = both("none", "is right", "none", "nothing")
NEW_SEEDS = "wrong_on_new_seeds"


Verdicts = Mapping[str, Future[GateResult]]


@pytest.fixture(scope="module")
def verdicts() -> Iterator[Verdicts]:
    """Run the faults that no gate times."""
    with verdicts_of([case for case in SHOWN if case not in TIMED], len(os.sched_getaffinity(0))) as found:
        yield found


@pytest.fixture(scope="module")
def timed_verdicts() -> Iterator[Verdicts]:
    """Run the faults that a gate times, and the honest form; one at a time, or they would disturb each other."""
    with verdicts_of([HONEST, *TIMED], 1) as found:
        yield found


@contextmanager
def verdicts_of(cases: Sequence[Case], count: int) -> Iterator[Verdicts]:
    """Run cases, so many at a time, and yield the result of each."""
    made = [Session(FOLDER, one_core()) for _ in range(count)]
    sessions: queue.SimpleQueue[Session] = queue.SimpleQueue()
    for session in made:
        sessions.put(session)
    with ThreadPoolExecutor(count) as pool:
        yield {case.fault: pool.submit(run, case, sessions) for case in cases}
        pool.shutdown(cancel_futures=True)
    for session in made:
        session.close()


def run(case: Case, sessions: queue.SimpleQueue[Session]) -> GateResult:
    candidate = build_fault(KERNEL, case.fault, "cpu", "cpu", case.workload)
    seeds = known_seeds() if case.fault == NEW_SEEDS else SEEDS
    session = sessions.get()
    try:
        return verdict(session, candidate, "cpu", seeds)
    finally:
        sessions.put(session)


@pytest.mark.parametrize("case", [case for case in SHOWN if case not in TIMED], ids=lambda case: case.fault)
def test_a_kernel_that_is_wrong_or_cheats_is_refused_at_its_gate(case: Case, verdicts: Verdicts) -> None:
    assert isinstance(case.cpu, Refusal)
    assert_refused(case, case.cpu, verdicts[case.fault].result())


@pytest.mark.quiet
@pytest.mark.parametrize("case", TIMED, ids=lambda case: case.fault)
def test_a_kernel_that_cheats_in_time_or_is_wrong_on_new_seeds_is_refused(case: Case, timed_verdicts: Verdicts) -> None:
    assert isinstance(case.cpu, Refusal)
    result = timed_verdicts[case.fault].result()
    if case.fault == NEW_SEEDS:
        assert result.passed, f"{result.gate}: {result.reason}"
        result = confirm()
    assert_refused(case, case.cpu, result)


@pytest.mark.quiet
def test_the_honest_form_of_the_same_source_passes_every_gate(timed_verdicts: Verdicts) -> None:
    result = timed_verdicts[HONEST.fault].result()
    assert result.passed, f"{result.gate}: {result.reason}"


def known_seeds() -> tuple[int, ...]:
    """Return seeds on which the kernel that is wrong on new seeds is right."""
    return passing_seeds(KERNEL, named_workload(KERNEL, "small"), TILES["cpu"], 3)


def confirm() -> GateResult:
    """Confirm a kernel that has passed every gate, with new seeds."""
    measurer = Measurer(FOLDER, one_core())
    candidate = build_fault(KERNEL, NEW_SEEDS, "cpu", "cpu", "small")
    try:
        return confirmed(measurer, candidate, "cpu", failing_seeds(KERNEL, named_workload(KERNEL, "small"), 1))
    finally:
        measurer.close()
