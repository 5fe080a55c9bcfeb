"""Health checks: when a worker is due for one, and the verdicts that follow from its figures."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from evotune.search.dispatch.actions import Action, Restart
from evotune.search.dispatch.evaluator import ClusterEvaluator
from evotune.search.dispatch.events import HealthChecked
from evotune.search.workers.health_checks import Distrust, Verdict
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


def checked(*workers: Worker) -> WorkerHealth:
    """With a reference that the first worker has measured as trial 0."""
    made = joined(*workers)
    made.measured(workers[0], candidate(0), passed())
    return made


def check(made: WorkerHealth, worker: Worker, measurement: Measurement) -> list[Verdict]:
    assert made.due(worker)
    made.start_check(worker)
    assert not made.due(worker)
    return made.judge(worker, measurement)


def told(verdicts: list[Verdict]) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(verdict.worker.name, verdict.kind, verdict.numbers) for verdict in verdicts]


def test_a_worker_alone_measures_it_for_a_fortieth_of_its_time() -> None:
    made = checked(A)
    for number in range(1, INTERVAL):
        made.measured(A, candidate(number), passed())
    assert not made.due(A)
    made.measured(A, candidate(INTERVAL), passed())
    assert told(check(made, A, passed(own_us=105))) == [("a", "good", ())]
    assert not made.due(A)


def test_failures_in_a_row_bring_it_forward_and_a_false_alarm_halves_how_often() -> None:
    made = checked(A)
    for number in range(1, FAILURES + 1):
        assert not made.due(A)
        made.measured(A, candidate(number), failed())
    assert told(check(made, A, passed())) == [("a", "good", ())]
    for number in range(2 * FAILURES):
        assert not made.due(A)
        made.measured(A, candidate(10 + number), failed())
    assert made.due(A)


def test_a_worker_that_is_slower_than_others_is_restarted_and_then_quarantined_with_what_it_measured() -> None:
    made = checked(A, B)
    assert told(check(made, B, passed())) == [("b", "good", ())]
    made.measured(B, candidate(1), passed())
    for number in range(2, 2 + INTERVAL):
        made.measured(B, candidate(number), passed(own_us=130))
    [verdict] = check(made, B, passed(own_us=130, baseline_us=260))
    assert (verdict.kind, verdict.reason) == (
        "odd",
        "a configuration takes 30% longer at small than on another of its kind",
    )
    assert not made.trusted(B) and made.trusted(A) and made.unsettled
    verdicts = check(made, B, passed(own_us=130))
    assert told(verdicts) == [("b", "quarantined", tuple(range(1, 2 + INTERVAL)))]
    made.begin_round(verdicts[0])
    assert not made.unsettled


def test_a_worker_that_a_fresh_process_puts_right_goes_on_and_its_trials_are_measured_again() -> None:
    made = checked(A, B)
    made.measured(B, candidate(1), passed())
    assert told(check(made, B, passed(own_us=100, baseline_us=300))) == [("b", "odd", ())]
    assert told(check(made, B, passed())) == [("b", "good", (1,))]
    assert made.trusted(B) and not made.unsettled


def test_the_worker_whose_trial_became_the_reference_is_found_out_by_a_faster_one() -> None:
    made = joined(A, B)
    made.measured(A, candidate(0), passed(own_us=150))
    assert told(check(made, B, passed())) == [("b", "good", ()), ("a", "odd", ())]
    assert told(check(made, A, passed(own_us=150))) == [("a", "quarantined", (0,))]


def test_a_worker_that_fails_a_configuration_that_passed_is_odd() -> None:
    made = checked(A, B)
    made.measured(B, candidate(1), failed())
    [verdict] = check(made, B, failed())
    assert verdict.reason == "a configuration that passed before fails at numerics: max error nan"
    assert told(check(made, B, failed())) == [("b", "quarantined", (1,))]


@pytest.mark.parametrize(("own_us", "kind"), [(120, "odd"), (80, "odd"), (105, "good")])
def test_of_a_worker_alone_the_speed_up_counts(own_us: float, kind: str) -> None:
    made = checked(A)
    made.measured(A, candidate(1), replace(passed(), seconds=INTERVAL))
    assert [verdict.kind for verdict in check(made, A, passed(own_us=own_us))] == [kind]


def test_a_cpu_which_is_never_alone_has_a_wider_margin() -> None:
    cpu = Worker("cpu", cpu_device(), None)
    for own_us, kind in ((120, "good"), (130, "odd")):
        made = checked(cpu)
        made.measured(cpu, candidate(1), replace(passed(), seconds=INTERVAL))
        assert [verdict.kind for verdict in check(made, cpu, passed(own_us=own_us))] == [kind]


def test_a_machine_that_slows_down_as_a_whole_is_not_odd_where_it_is_alone() -> None:
    made = checked(A, OTHER)
    made.measured(A, candidate(1), replace(passed(), seconds=INTERVAL))
    assert told(check(made, A, passed(own_us=150, baseline_us=300))) == [("a", "good", ())]
    assert told(check(made, OTHER, passed(own_us=900, baseline_us=1000))) == [("other", "good", ())]


def test_a_check_without_a_result_says_nothing_until_a_distrusted_worker_has_too_many() -> None:
    made = checked(A, B)
    for _ in range(BUSY_MOST):
        assert check(made, B, failed(busy=True)) == []
    assert told(check(made, B, failed())) == [("b", "odd", ())]
    for _ in range(BUSY_MOST - 1):
        assert check(made, B, failed(busy=True)) == []
    assert told(check(made, B, failed(busy=True))) == [("b", "quarantined", ())]


def test_trials_given_before_a_good_check_are_verified_and_later_ones_are_not() -> None:
    made = checked(A, B)
    made.measured(B, candidate(1), passed())
    made.start_check(B)
    made.measured(B, candidate(2), passed())
    assert told(made.judge(B, passed())) == [("b", "good", ())]
    made.measured(B, candidate(3), replace(passed(), seconds=INTERVAL))
    check(made, B, failed())
    assert told(check(made, B, failed())) == [("b", "quarantined", (2, 3))]


def test_a_distrusted_worker_that_is_lost_is_quarantined_and_what_it_measured_is_measured_elsewhere() -> None:
    made = checked(A, B)
    made.measured(B, candidate(1), passed())
    assert made.leave(B) is None, "nothing speaks against what it measured"
    made.join(B)
    assert told(check(made, B, passed(own_us=130))) == [("b", "odd", ())]
    verdict = made.leave(B)
    assert verdict is not None and told([verdict]) == [("b", "quarantined", (1,))]
    made.begin_round(verdict)
    assert not made.unsettled


def test_a_worker_that_comes_back_is_trusted_as_before() -> None:
    made = checked(A, B)
    made.measured(B, candidate(1), passed())
    assert told(check(made, B, passed(own_us=130))) == [("b", "odd", ())]
    again = Worker("b", GPU, None)
    made.join(again)
    assert not made.trusted(again) and made.due(again)
    assert told(check(made, again, passed())) == [("b", "good", (1,))]


def test_a_worker_that_went_and_is_found_odd_by_another_is_not_waited_for() -> None:
    made = joined(A, B)
    made.measured(A, candidate(0), passed(own_us=150))
    made.leave(A)
    assert told(check(made, B, passed())) == [("b", "good", ()), ("a", "quarantined", (0,))]


def test_a_restarted_worker_that_comes_back_elsewhere_is_quarantined() -> None:
    made = checked(A, B)
    made.measured(B, candidate(1), passed())
    assert told(check(made, B, passed(own_us=130))) == [("b", "odd", ())]
    made.join(Worker("elsewhere", GPU, None))
    verdict = made.leave(B)
    assert verdict is not None and told([verdict]) == [("b", "quarantined", (1,))]


class Events:
    """A dispatcher that returns one health check, and remembers its actions."""

    idle: tuple[Worker, ...] = ()
    builds_running = 0

    def __init__(self, worker: Worker) -> None:
        self.worker, self.actions = worker, list[Action]()

    def wait(self, seconds: float) -> list[HealthChecked]:
        return [HealthChecked(self.worker, passed())]

    def carry_out(self, actions: list[Action]) -> None:
        self.actions += actions


def step(made: WorkerHealth, worker: Worker) -> tuple[dict[str, tuple[int, ...]], list[Distrust], list[Action]]:
    """One step of the evaluator, in which the worker's check comes back."""
    rows = iter(range(100))
    recorder: Any = SimpleNamespace(health_checked=lambda *of: next(rows), flush=lambda: None)
    plan = SimpleNamespace(seed=0, variant=None)
    context: Any = SimpleNamespace(plan=plan, workers=(), reporter=SimpleNamespace(note=lambda text: None))
    events = Events(worker)
    distrusted = list(ClusterEvaluator(context, cast(Any, events), recorder, made).step(0.0))
    return {each.verdict.worker.name: each.verdict.numbers for each in distrusted}, distrusted, events.actions


def test_all_workers_that_one_check_condemns_are_distrusted_at_once() -> None:
    made = joined(A, B, C)
    made.measured(A, candidate(0), passed(own_us=150))
    for worker, number in ((B, 5), (C, 6)):
        check(made, worker, passed(own_us=150))
        made.measured(worker, candidate(number), passed(own_us=150))
        assert made.leave(worker) is None
    made.join(D)
    made.start_check(D)
    unreliable, distrusted, _ = step(made, D)
    assert unreliable == {"b": (5,), "c": (6,)} and len({each.row for each in distrusted}) == 2


def test_a_worker_found_odd_by_a_check_is_restarted_although_the_round_ends() -> None:
    made = joined(A, B)
    made.measured(A, candidate(0), passed(own_us=150))
    made.measured(B, candidate(1), passed())
    assert told(check(made, B, failed())) == [("b", "odd", ())]
    made.start_check(B)
    unreliable, _, actions = step(made, B)
    assert unreliable == {"b": (1,)} and actions == [Restart(A)]
