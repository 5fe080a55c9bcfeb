"""Workers of a search that are given up for others: a dispatcher on simulated workers, in simulated time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast
from unittest import mock

import pytest

from evotune.search.dispatch import dispatcher as dispatcher_module
from evotune.search.dispatch.actions import Measure
from evotune.search.dispatch.dispatcher import Dispatcher
from evotune.search.dispatch.events import Event, Gone, Measured, Note
from evotune_workers.cluster.cluster import Cluster, Worker
from evotune_workers.cluster.slots import Change
from evotune_workers.cluster.worker_pool import WorkerPool
from evotune_workers.compilers.builder import BuildJob
from evotune_workers.kernel.targets import known_device
from evotune_workers.measuring.jobs import MeasureJob
from tests.support.simulated.cluster import SimulatedCluster, candidate

TRIALS = 12


class Crowded(SimulatedCluster):
    """One whose workers others want."""

    wanted_by_others: tuple[Worker, ...] = ()
    dismissed: tuple[Worker, ...] = ()

    @property
    def surplus(self) -> tuple[Worker, ...]:
        """Workers that have to be given up and were not yet dismissed."""
        return tuple(worker for worker in self.wanted_by_others if worker not in self.dismissed)

    def dismiss(self, worker: Worker) -> None:
        """As a WorkerPool."""
        self.dismissed = (*self.dismissed, worker)


@pytest.fixture
def cluster() -> Iterator[Crowded]:
    made = Crowded(2, 1, known_device("sm_89"))
    with mock.patch.object(dispatcher_module, "ray", made):
        yield made


def test_a_worker_that_others_want_does_what_it_has_in_hand_and_gets_nothing_more(cluster: Crowded) -> None:
    dispatcher = Dispatcher(cast("Cluster", cluster), cast("WorkerPool", cluster))
    queue = [candidate(BuildJob(n, {}, "sm80", "sm_89", ("mission",))) for n in range(TRIALS)]
    begun: list[Worker] = []

    def dispatch() -> None:
        actions = [Measure(worker, MeasureJob(queue.pop(), "sm80", (), {})) for worker in dispatcher.idle if queue]
        dispatcher.carry_out(actions)
        begun.extend(action.worker for action in actions)

    dispatch()
    assert len(begun) == 4, "each has a job ahead"
    leaving, staying = cluster.workers
    cluster.wanted_by_others = (leaving,)
    seen: list[Event] = []
    while sum(isinstance(event, Measured) for event in seen) < TRIALS:
        seen += dispatcher.wait(10.0)
        dispatch()
    assert cluster.dismissed == (leaving,)
    [gone] = [event for event in seen if isinstance(event, Gone)]
    assert gone.worker is leaving and gone.text.endswith("is given up for other searches")
    assert begun.count(leaving) == 2 and begun.count(staying) == TRIALS - 2


class Shrinking(SimulatedCluster):
    """One that asks for two workers, and gives up the second when the first turns out to be unusable."""

    awaited: tuple[object, ...] = ("first", "second")

    @property
    def futures(self) -> tuple[Any, ...]:
        """As a WorkerPool."""
        return self.awaited

    def take(self, future: object) -> Change:
        """As a WorkerPool, which forgets a future that it has taken, and those of slots that it drops meanwhile."""
        assert future in self.awaited
        self.awaited = ()
        return Change("refused", "a host does not measure: it has another torch")

    def wait(self, futures: Sequence[Any], *, num_returns: int, timeout: float) -> tuple[list[Any], list[Any]]:
        """Both have answered."""
        return list(futures[:num_returns]), list(futures[num_returns:])


def test_a_worker_that_is_given_up_while_its_answer_waits_to_be_taken_is_passed_over() -> None:
    cluster = Shrinking(0, 1, known_device("sm_89"))
    with mock.patch.object(dispatcher_module, "ray", cluster):
        dispatcher = Dispatcher(cast("Cluster", cluster), cast("WorkerPool", cluster))
        [told] = dispatcher.wait(1.0)
    assert isinstance(told, Note) and "another torch" in told.text
