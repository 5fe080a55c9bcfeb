"""The workers of a search on a cluster of GPUs: real raylets and scheduling, with actors that pose as GPUs'."""

from __future__ import annotations

import contextlib
import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
import ray
from ray.exceptions import ActorUnavailableError

from evotune_workers.cluster import gpu_sharing as gpu_sharing_module
from evotune_workers.cluster import worker_pool as worker_pool_module
from evotune_workers.cluster.connection import SILENT, ClusterError, connected
from evotune_workers.cluster.gpu_sharing import GpuShare, GpuShares
from evotune_workers.cluster.node_versions import node_versions
from evotune_workers.cluster.node_worker import WorkerDescription
from evotune_workers.cluster.nodes import Nodes
from evotune_workers.cluster.slots import Worker
from evotune_workers.cluster.unusable_node import UnusableNode
from evotune_workers.cluster.worker_pool import WorkerPool
from evotune_workers.kernel.targets import known_device
from tests.support.ray_nodes import NodesHere, nodes_here

TARGET = "sm_89"
PACKAGE = pickle.dumps("a kernel")
DEADLINE_SECONDS = 60.0
SHORT_TURN_SECONDS = 1.5

MakeWorkerPool = Callable[..., WorkerPool]


def posing_worker() -> Any:
    """In the place of NodeWorker: says that its GPU is of the kind that its node was started with."""

    class Posing:
        def __init__(self, cuda: bool, package: bytes) -> None:
            pass

        def describe(self) -> WorkerDescription | UnusableNode:
            import os

            here = ray.get_runtime_context()
            place = os.environ["CUDA_VISIBLE_DEVICES"]
            if (kind := os.environ.get("POSING")) == "broken":
                return UnusableNode(here.get_node_id(), "a host", "its GPU must be usable, it is not")
            device = known_device(kind or TARGET)
            uuid = f"{here.get_node_id()} {place}"
            instance = str(os.getpid())
            return WorkerDescription(
                here.get_node_id(), "a host", place, instance, replace(device, uuid=uuid), node_versions()
            )

        def node(self) -> str:
            return str(ray.get_runtime_context().get_node_id())

    return ray.remote(num_cpus=0, max_restarts=-1)(Posing)


@pytest.fixture(scope="module")
def joined() -> Iterator[NodesHere]:
    """Start a head without a GPU and join it."""
    with nodes_here(installs_code=False, num_cpus=1) as nodes:
        ray.init(address=nodes.address, **SILENT)
        yield nodes
        ray.shutdown()


@pytest.fixture
def cluster(joined: NodesHere, monkeypatch: pytest.MonkeyPatch) -> Iterator[NodesHere]:
    """Let actors pose as GPUs', and leave the nodes that were there."""
    monkeypatch.setattr(worker_pool_module, "_NodeWorker", posing_worker())
    with joined.more():
        yield joined


@pytest.fixture(scope="class")
def two_gpus(joined: NodesHere) -> Iterator[None]:
    """Join a node with two GPUs for the tests of a class: a node takes seconds to start."""
    with joined.more():
        joined.add(**l4(2))
        yield


def l4(count: int = 1) -> dict[str, Any]:
    return {"num_cpus": 1, "num_gpus": count, "resources": {"accelerator_type:L4": 1}}


@pytest.fixture
def pool() -> Iterator[MakeWorkerPool]:
    """Make pools, and close them at the end."""
    made: list[WorkerPool] = []

    def make(wanted: int | None = None, share: GpuShare | None = None) -> WorkerPool:
        made.append(WorkerPool(PACKAGE, TARGET, Nodes(grows=True), wanted, share))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def short_turns(monkeypatch: pytest.MonkeyPatch) -> float:
    """Shorten turns, by a sharing actor of the test's own, and the looks that hand a GPU over."""
    monkeypatch.setattr(gpu_sharing_module, "NAME", "gpu_shares_of_short_turns")
    monkeypatch.setattr(gpu_sharing_module, "GpuShares", gpu_shares_of_short_turns())
    monkeypatch.setattr(worker_pool_module, "LOOK_SECONDS", 0.2)
    return SHORT_TURN_SECONDS


def gpu_shares_of_short_turns() -> type[GpuShares]:
    """In the place of GpuShares, whose constants are those of another process."""
    seconds = SHORT_TURN_SECONDS

    class ShortTurns(GpuShares):
        def __init__(self) -> None:
            from evotune_workers.cluster import gpu_sharing

            gpu_sharing.TURN_SECONDS = seconds
            super().__init__()

    return ShortTurns


def until(condition: Callable[[], bool], *pools: WorkerPool) -> list[str]:
    """Lets pools do their work; returns what they told."""
    told: list[str] = []
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, told
        for each in pools:
            told += [change.text for change in each.wait(0.1)]
            for worker in each.surplus:
                each.dismiss(worker)
    return told


def node_of(worker: Worker) -> str:
    """Asked again where Ray has not noticed yet that the actor is elsewhere."""
    for _ in range(20):
        with contextlib.suppress(ActorUnavailableError):
            return str(ray.get(worker.actor.node.remote()))
        time.sleep(0.5)
    raise AssertionError(f"{worker.name} does not answer")


def test_only_gpus_of_the_targets_kind_measure_and_nodes_that_come_are_used(
    cluster: NodesHere, pool: MakeWorkerPool
) -> None:
    cluster.add(num_gpus=1, resources={"accelerator_type:T4": 1})
    cluster.add(**l4(2))
    made = pool()
    until(lambda: len(made.workers) == 2, made)
    assert len({node_of(worker) for worker in made.workers}) == 1
    assert {worker.name for worker in made.workers} == {"gpu 0 of a host", "gpu 1 of a host"}
    cluster.add(**l4())
    assert until(lambda: len(made.workers) == 3, made) == ["gpu 0 of a host (2) has come"]


def test_gpus_that_are_asked_for_are_waited_for_and_replaced_when_their_node_is_lost(
    cluster: NodesHere, pool: MakeWorkerPool
) -> None:
    first = cluster.add(**l4())
    made = pool(wanted=2)
    until(lambda: len(made.workers) == 1, made)
    [lost] = made.workers
    cluster.add(**l4())
    until(lambda: len(made.workers) == 2, made)
    cluster.kill(first)
    made.lost(lost)
    [left] = made.workers
    cluster.add(**l4())
    until(lambda: len(made.workers) == 2, made)
    [come] = set(made.workers) - {left}
    assert come is not lost and node_of(come) != node_of(left)


def test_a_node_that_cannot_be_used_is_passed_over(cluster: NodesHere, pool: MakeWorkerPool) -> None:
    cluster.add(**l4(), env_vars={"POSING": "broken"})
    cluster.add(**l4())
    made = pool()
    told = until(lambda: len(made.workers) == 1 and not made.futures, made)
    assert set(told) == {"a host does not measure: its GPU must be usable, it is not", "gpu 0 of a host has come"}
    cluster.add(**l4())
    until(lambda: len(made.workers) == 2, made)


def test_gpus_of_another_kind_on_a_node_that_does_not_say_what_it_has_are_found_out(cluster: NodesHere) -> None:
    cluster.add(num_gpus=1, env_vars={"POSING": "sm_80"})
    another = r"its device must be of target sm_89, got NVIDIA A100 SXM4 80GB \(sm_80\)"
    for grows, told in ((True, another), (False, "there is none: a host does not measure: " + another)):
        with closing(WorkerPool(PACKAGE, TARGET, Nodes(grows=grows))) as made, pytest.raises(ClusterError, match=told):
            until(lambda: False, made)


def test_a_cluster_without_such_a_gpu_is_told_what_it_has_and_what_to_do(
    cluster: NodesHere, pool: MakeWorkerPool
) -> None:
    cluster.add(num_gpus=1, resources={"accelerator_type:T4": 1})
    with pytest.raises(ClusterError, match=r"target sm_89, this cluster has T4: .*--gpus N .* for L4,"):
        pool()


@pytest.mark.usefixtures("two_gpus", "cluster")
class TestANodeWithTwoGpus:
    def test_a_quarantined_gpu_is_given_to_nobody_and_its_neighbour_works_on(
        self, cluster: NodesHere, pool: MakeWorkerPool
    ) -> None:
        made = pool(wanted=3)
        until(lambda: len(made.workers) == 2, made)
        bad, good = made.workers
        made.quarantine(bad)
        for _ in range(30):
            made.wait(0.1)
            assert made.workers == (good,) and not made.surplus
        cluster.add(**l4())
        until(lambda: len(made.workers) == 2, made)
        assert good in made.workers

    def test_a_search_that_goes_on_measures_on_no_other_model(self) -> None:
        device = known_device(TARGET)
        same, other = (device.name, device.limits), ("NVIDIA L40S", device.limits)
        with closing(WorkerPool(PACKAGE, TARGET, Nodes(grows=False), model=same)) as made:
            until(lambda: len(made.workers) == 2, made)
        told = r"its device must be NVIDIA L40S with the limits of what was measured"
        with (
            closing(WorkerPool(PACKAGE, TARGET, Nodes(grows=False), model=other)) as made,
            pytest.raises(ClusterError, match=told),
        ):
            until(lambda: False, made)

    def test_a_restarted_worker_is_another_process(self, pool: MakeWorkerPool) -> None:
        made = pool()
        until(lambda: len(made.workers) == 2, made)
        before, other = made.workers
        made.restart(before)
        assert until(lambda: len(made.workers) == 2, made) == [f"{before.name} has come"]
        assert other in made.workers and before not in made.workers

    def test_searches_share_gpus_and_take_what_others_leave(self, pool: MakeWorkerPool) -> None:
        first = pool(share=GpuShare(TARGET, "first"))
        until(lambda: len(first.workers) == 2, first)
        second = pool(share=GpuShare(TARGET, "second"))
        until(lambda: len(first.workers) == len(second.workers) == 1, first, second)
        assert {worker.name for worker in (*first.workers, *second.workers)} == {"gpu 0 of a host", "gpu 1 of a host"}
        first.close()
        until(lambda: len(second.workers) == 2, second)

    def test_four_searches_hold_two_gpus_in_turn_and_for_the_same_time(
        self, pool: MakeWorkerPool, short_turns: float
    ) -> None:
        pools = [pool(share=GpuShare(TARGET, f"search {place}")) for place in range(4)]
        had = hold_in_turn(pools, short_turns)
        # Whoever is given a GPU has had least, and holds it for a turn and the two looks that handing it over takes:
        # two differ by that at most. Another turn less the looks is for a busy machine: a factor of 3 beside a turn
        # in all.
        assert max(had) - min(had) <= 2 * short_turns, had


def hold_in_turn(pools: Sequence[WorkerPool], seconds: float) -> list[float]:
    """Until each has held a GPU for so long in all; returns for how long each has."""
    had, began = [0.0] * len(pools), time.monotonic()
    now = began
    while min(had) < seconds:
        drive(pools)
        held = [worker.name for each in pools for worker in each.workers]
        assert len(set(held)) == len(held) <= 2, "a GPU is one search's"
        before, now = now, time.monotonic()
        assert now - began < DEADLINE_SECONDS, had
        had = [each + len(holder.workers) * (now - before) for each, holder in zip(had, pools, strict=True)]
    return had


def drive(pools: Sequence[WorkerPool]) -> None:
    """Do for a moment what dispatchers do whose workers have no job."""
    for each in pools:
        each.look()
        for worker in each.surplus:
            each.dismiss(worker)
    awaited = {future: each for each in pools for future in each.futures}
    done = ray.wait(list(awaited), timeout=0.1)[0] if awaited else []
    for future in done:
        awaited[future].take(future)
    if not awaited:
        time.sleep(0.1)


def test_the_address_of_rays_client_is_refused() -> None:
    with (
        pytest.raises(ClusterError, match=r"on a node of its cluster, got ray://head:10001"),
        connected("ray://head:10001"),
    ):
        pass
