"""When a worker measures the canary, and what is thought of it then."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from evotune.search.loop import ClusterWork, Doubted
from evotune.search.workers.health_checks import Verdict
from evotune.search.workers.worker_health import BUSY_MOST, FAILURES, INTERVAL, WorkerHealth
from evotune_workers.cluster.cluster import Worker
from evotune_workers.compilers.candidate import Candidate
from evotune_workers.kernel.device import cpu_device
from evotune_workers.kernel.targets import known_device
from evotune_workers.measuring.jobs import Measurement
from evotune_workers.timing.summary import Timing

GPU = known_device("sm_89")
A, B, C, D = (Worker(name, GPU, None) for name in "abcd")
OTHER = Worker("other", replace(GPU, name="Another model"), None)


def candidate(number: int) -> Candidate:
    return Candidate(number, {"unroll": number}, ())


def passed(own_us: float = 100.0, baseline_us: float = 200.0, seconds: float = 1.0, number: int = 0) -> Measurement:
    samples = {"candidate": [(own_us, 1.01 * own_us)] * 10, "torch": [(baseline_us, 1.01 * baseline_us)] * 10}
    ratio = baseline_us / own_us
    numbers = (own_us, own_us, own_us, own_us, baseline_us, ratio, 0.99 * ratio, 1.01 * ratio, 10, 0)
    return Measurement(
        number, (), (Timing("small", "cold", "build", "torch", *numbers, False, samples),), None, None, seconds=seconds
    )


def failed(busy: bool = False) -> Measurement:
    return Measurement(0, (), (), "numerics", "max error nan", seconds=0.1, busy=busy)


def joined(*workers: Worker) -> WorkerHealth:
    made = WorkerHealth()
    for worker in workers:
        made.join(worker)
    return made


def canaries(*workers: Worker) -> WorkerHealth:
    """With a canary that the first worker has measured as trial 0."""
    made = joined(*workers)
    made.measured(workers[0], candidate(0), passed())
    return made


def read(made: WorkerHealth, worker: Worker, measurement: Measurement) -> list[Verdict]:
    assert made.due(worker)
    made.give(worker)
    assert not made.due(worker)
    return made.read(worker, measurement)


def told(verdicts: list[Verdict]) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(verdict.worker.name, verdict.kind, verdict.numbers) for verdict in verdicts]


def test_a_worker_alone_measures_it_for_a_fortieth_of_its_time() -> None:
    made = canaries(A)
    for number in range(1, INTERVAL):
        made.measured(A, candidate(number), passed())
    assert not made.due(A)
    made.measured(A, candidate(INTERVAL), passed())
    assert told(read(made, A, passed(own_us=105))) == [("a", "good", ())]
    assert not made.due(A)


def test_failures_in_a_row_bring_it_forward_and_a_false_alarm_halves_how_often() -> None:
    made = canaries(A)
    for number in range(1, FAILURES + 1):
        assert not made.due(A)
        made.measured(A, candidate(number), failed())
    assert told(read(made, A, passed())) == [("a", "good", ())]
    for number in range(2 * FAILURES):
        assert not made.due(A)
        made.measured(A, candidate(10 + number), failed())
    assert made.due(A)


def test_a_worker_that_is_slower_than_others_is_restarted_and_then_quarantined_with_what_it_measured() -> None:
    made = canaries(A, B)
    assert told(read(made, B, passed())) == [("b", "good", ())]
    made.measured(B, candidate(1), passed())
    for number in range(2, 2 + INTERVAL):
        made.measured(B, candidate(number), passed(own_us=130))
    [verdict] = read(made, B, passed(own_us=130, baseline_us=260))
    assert (verdict.kind, verdict.reason) == (
        "odd",
        "a configuration takes 30% longer at small than on another of its kind",
    )
    assert not made.trusted(B) and made.trusted(A) and made.doubting
    verdicts = read(made, B, passed(own_us=130))
    assert told(verdicts) == [("b", "quarantined", tuple(range(1, 2 + INTERVAL)))]
    made.begin_again(verdicts[0])
    assert not made.doubting


def test_a_worker_that_a_fresh_process_puts_right_goes_on_and_its_trials_are_measured_again() -> None:
    made = canaries(A, B)
    made.measured(B, candidate(1), passed())
    assert told(read(made, B, passed(own_us=100, baseline_us=300))) == [("b", "odd", ())]
    assert told(read(made, B, passed())) == [("b", "good", (1,))]
    assert made.trusted(B) and not made.doubting


def test_the_worker_whose_trial_became_the_canary_is_found_out_by_a_faster_one() -> None:
    made = joined(A, B)
    made.measured(A, candidate(0), passed(own_us=150))
    assert told(read(made, B, passed())) == [("b", "good", ()), ("a", "odd", ())]
    assert told(read(made, A, passed(own_us=150))) == [("a", "quarantined", (0,))]


def test_a_worker_that_fails_a_configuration_that_passed_is_odd() -> None:
    made = canaries(A, B)
    made.measured(B, candidate(1), failed())
    [verdict] = read(made, B, failed())
    assert verdict.reason == "a configuration that passed before fails at numerics: max error nan"
    assert told(read(made, B, failed())) == [("b", "quarantined", (1,))]


@pytest.mark.parametrize(("own_us", "kind"), [(120, "odd"), (80, "odd"), (105, "good")])
def test_of_a_worker_alone_the_speed_up_counts(own_us: float, kind: str) -> None:
    made = canaries(A)
    made.measured(A, candidate(1), replace(passed(), seconds=INTERVAL))
    assert [verdict.kind for verdict in read(made, A, passed(own_us=own_us))] == [kind]


def test_a_cpu_which_is_never_alone_has_a_wider_margin() -> None:
    cpu = Worker("cpu", cpu_device(), None)
    for own_us, kind in ((120, "good"), (130, "odd")):
        made = canaries(cpu)
        made.measured(cpu, candidate(1), replace(passed(), seconds=INTERVAL))
        assert [verdict.kind for verdict in read(made, cpu, passed(own_us=own_us))] == [kind]


def test_a_machine_that_slows_down_as_a_whole_is_not_odd_where_it_is_alone() -> None:
    made = canaries(A, OTHER)
    made.measured(A, candidate(1), replace(passed(), seconds=INTERVAL))
    assert told(read(made, A, passed(own_us=150, baseline_us=300))) == [("a", "good", ())]
    assert told(read(made, OTHER, passed(own_us=900, baseline_us=1000))) == [("other", "good", ())]


def test_a_canary_without_a_result_says_nothing_until_a_doubted_worker_has_too_many() -> None:
    made = canaries(A, B)
    for _ in range(BUSY_MOST):
        assert read(made, B, failed(busy=True)) == []
    assert told(read(made, B, failed())) == [("b", "odd", ())]
    for _ in range(BUSY_MOST - 1):
        assert read(made, B, failed(busy=True)) == []
    assert told(read(made, B, failed(busy=True))) == [("b", "quarantined", ())]


def test_trials_given_before_a_good_canary_are_verified_and_later_ones_are_not() -> None:
    made = canaries(A, B)
    made.measured(B, candidate(1), passed())
    made.give(B)
    made.measured(B, candidate(2), passed())
    assert told(made.read(B, passed())) == [("b", "good", ())]
    made.measured(B, candidate(3), replace(passed(), seconds=INTERVAL))
    read(made, B, failed())
    assert told(read(made, B, failed())) == [("b", "quarantined", (2, 3))]


def test_a_doubted_worker_that_is_lost_is_quarantined_and_what_it_measured_is_measured_elsewhere() -> None:
    made = canaries(A, B)
    made.measured(B, candidate(1), passed())
    assert made.gone(B) is None, "nothing speaks against what it measured"
    made.join(B)
    assert told(read(made, B, passed(own_us=130))) == [("b", "odd", ())]
    verdict = made.gone(B)
    assert verdict is not None and told([verdict]) == [("b", "quarantined", (1,))]
    made.begin_again(verdict)
    assert not made.doubting


def test_a_worker_that_comes_back_is_thought_of_as_before() -> None:
    made = canaries(A, B)
    made.measured(B, candidate(1), passed())
    assert told(read(made, B, passed(own_us=130))) == [("b", "odd", ())]
    again = Worker("b", GPU, None)
    made.join(again)
    assert not made.trusted(again) and made.due(again)
    assert told(read(made, again, passed())) == [("b", "good", (1,))]


def test_a_worker_that_went_and_is_found_odd_by_another_is_not_waited_for() -> None:
    made = joined(A, B)
    made.measured(A, candidate(0), passed(own_us=150))
    made.gone(A)
    assert told(read(made, B, passed())) == [("b", "good", ()), ("a", "quarantined", (0,))]


def test_a_restarted_worker_that_comes_back_elsewhere_is_quarantined() -> None:
    made = canaries(A, B)
    made.measured(B, candidate(1), passed())
    assert told(read(made, B, passed(own_us=130))) == [("b", "odd", ())]
    made.join(Worker("elsewhere", GPU, None))
    verdict = made.gone(B)
    assert verdict is not None and told([verdict]) == [("b", "quarantined", (1,))]


def test_all_that_one_reading_condemns_is_taken_back_at_once() -> None:
    made = joined(A, B, C)
    made.measured(A, candidate(0), passed(own_us=150))
    for worker, number in ((B, 5), (C, 6)):
        read(made, worker, passed(own_us=150))
        made.measured(worker, candidate(number), passed(own_us=150))
        assert made.gone(worker) is None
    made.join(D)
    rows = iter(range(100))
    recorder: Any = SimpleNamespace(canary=lambda *of: next(rows))
    dispatcher: Any = SimpleNamespace(canaries=made, restart=lambda worker: None)
    work = ClusterWork(cast(Any, None), dispatcher, recorder, cast(Any, SimpleNamespace(note=lambda text: None)))
    made.give(D)
    with pytest.raises(Doubted) as doubted:
        work._judge(D, passed())
    taken_back = {doubt.verdict.worker.name: doubt.verdict.numbers for doubt in doubted.value.doubts}
    assert taken_back == {"b": (5,), "c": (6,)} and len({doubt.canary for doubt in doubted.value.doubts}) == 2
