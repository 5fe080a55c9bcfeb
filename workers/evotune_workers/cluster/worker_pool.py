"""The workers of a search: they are asked for, come, are lost and come back, while nodes and other searches do.

Ray places the actors: one on the CPU of each node, or one on each GPU of the target's kind. An actor for a GPU waits
where there is no free GPU, which tells an autoscaling cluster what it lacks. When its node dies, Ray starts the actor
again on another. A node that cannot be used is passed over from then on.
"""

from __future__ import annotations

import time
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from evotune_workers.cluster.admission import Admission, Model
from evotune_workers.cluster.connection import ClusterError, in_one_line
from evotune_workers.cluster.gpu_sharing import GpuShare
from evotune_workers.cluster.node_worker import NodeWorker, WorkerDescription
from evotune_workers.cluster.nodes import Nodes
from evotune_workers.cluster.slots import Change, Slot, Slots, Worker, WorkerNames
from evotune_workers.cluster.start_deadline import StartDeadline
from evotune_workers.cluster.unusable_node import UnusableNode
from evotune_workers.kernel.targets import CPU

# Between two looks at which nodes there are.
LOOK_SECONDS = 1.0
RETURN_SECONDS = 0.1
# Actors that fail one after the other, wherever Ray places them.
FAILURES_MOST = 3


class WorkerPool:
    """Keeps as many workers as are wanted, nodes have room for, and other searches leave."""

    def __init__(
        self,
        package: bytes,
        target: str,
        nodes: Nodes,
        wanted: int | None = None,
        share: GpuShare | None = None,
        model: Model | None = None,
    ) -> None:
        """Ask for workers that serve a pickled KernelPackage; raises ClusterError where there can be none.

        `wanted`: a number of GPUs, None for all that there are. `share`: the search's share of GPUs that others use,
        too. `model`: the device of earlier measurements, None where the first worker decides.
        """
        self._package, self._target, self._nodes = package, target, nodes
        self._wanted, self._share = wanted, share
        self._slots, self._names = Slots(), WorkerNames(target)
        self._admission, self._deadline = Admission(target, model), StartDeadline()
        self._failures = 0
        self._allowed, self._crowded = 0, False
        self._closed = False
        self._fill()
        if not self._slots and not self._crowded:
            raise ClusterError(nodes.nothing_for(target))

    @property
    def workers(self) -> tuple[Worker, ...]:
        """Workers that can be given work, oldest slot first."""
        return self._slots.workers

    @property
    def wanted(self) -> int:
        """Number of workers to be had."""
        return len(self._slots.usable) if self._wanted is None else self._wanted

    @property
    def futures(self) -> tuple[Any, ...]:
        """Futures that tell that a worker has come; `take` takes them."""
        return self._slots.futures

    @property
    def nobody_left(self) -> bool:
        """True when there is no worker, and none to come."""
        return not self.workers and not self.futures and not self._crowded

    @property
    def surplus(self) -> tuple[Worker, ...]:
        """Workers to be dismissed as soon as they are idle: other searches wait for their GPUs."""
        return self.workers[self._allowed :] if self._share is not None else ()

    def departed(self) -> list[Worker]:
        """Return the workers that were lost and will not come back, each once."""
        return self._slots.departed()

    def wait(self, seconds: float) -> list[Change]:
        """Wait until a worker answers or the time is over, and return what changed; raises ClusterError as `look`."""
        if not self.futures:
            time.sleep(seconds)
        answered, _ = ray.wait(list(self.futures), num_returns=1, timeout=seconds) if self.futures else ([], [])
        changes = [change for future in answered if (change := self.take(future)) is not None]
        self.look()
        return changes

    def look(self) -> None:
        """Ask for workers where there is room for more; look at the cluster only now and then.

        Raises ClusterError when there has been no worker for too long.
        """
        if time.monotonic() - self._looked >= LOOK_SECONDS:
            self._fill()
        if self.workers or self._crowded:
            self._deadline.restart()
            return
        only_refused = self._admission.refused_any and not self._admission.admitted_any
        if not self._slots.usable and (not self._nodes.grows or only_refused):
            raise ClusterError(self._admission.without_worker("there is none"))
        booting = self._nodes.grows and self._target != CPU and not self._nodes.gpus(self._target)
        if (limit := self._deadline.passed(booting)) is not None:
            raise ClusterError(self._admission.without_worker(f"none has come within {limit:.0f} s"))

    def take(self, future: Any) -> Change | None:
        """Take the answer of a future of `futures`, and return what it changed, if anything.

        Raises ClusterError where no worker can start.
        """
        slot = self._slots.answered(future)
        try:
            answer: WorkerDescription | UnusableNode = ray.get(future)
        except ActorUnavailableError:
            self._ask_again(slot)  # until Ray has restarted it, every call fails at once
            return None
        except RayError as error:
            self._give_up(slot, error)
            return None
        self._failures = 0
        if isinstance(answer, UnusableNode):
            return self._refuse(slot, answer)
        if answer.instance == slot.stale:
            self._ask_again(slot)
            return None
        return self._admit(slot, answer)

    def lost(self, worker: Worker) -> None:
        """Wait for a worker whose process has died: it comes back when Ray has started it again."""
        slot = self._slots.holding(worker)
        if slot is not None:
            slot.worker, slot.former = None, worker
            self._slots.ask(slot)

    def restart(self, worker: Worker) -> None:
        """Give a worker a fresh process; its jobs are lost, and it comes back as another Worker."""
        slot = self._slots.holding(worker)
        if slot is not None:
            slot.stale = slot.instance
        ray.kill(worker.actor, no_restart=False)
        self.lost(worker)

    def dismiss(self, worker: Worker) -> None:
        """End a worker: its device is free for others."""
        slot = self._slots.holding(worker)
        assert slot is not None, "a worker is dismissed once"
        self._slots.drop(slot)

    def quarantine(self, worker: Worker) -> None:
        """Measure no more on a worker's device: a GPU is kept from Ray's other actors, a node is passed over."""
        slots = [slot for slot in self._slots if worker in (slot.worker, slot.former)]
        if self._target == CPU:
            self._nodes.rule_out(self._names.node(worker.name))
        else:
            self._admission.quarantine(worker.device)
        for slot in slots:
            slot.former = None
            if self._target == CPU:
                self._slots.drop(slot)
            elif slot.worker is worker:
                slot.worker, slot.blocked = None, True
        self._fill()

    def keep_only(self, worker: Worker) -> None:
        """End all other workers, and ask for no more."""
        self._wanted, self._closed = 1, True
        for slot in self._slots:
            if slot.worker is not worker:
                self._slots.drop(slot)
        self._fill()

    def close(self) -> None:
        """End all workers; other searches have their GPUs at once."""
        for slot in self._slots:
            self._slots.drop(slot)
        if self._share is not None:
            self._share.leave()

    def _fill(self) -> None:
        """Ask for workers where there is room for more."""
        self._looked = time.monotonic()
        self._nodes.look()
        if self._target == CPU:
            self._fill_nodes()
        else:
            self._fill_gpus()

    def _fill_nodes(self) -> None:
        taken = {slot.node for slot in self._slots}
        for node in self._nodes.measuring_on_cpu():
            if node not in taken and not (self._closed and self._slots):
                where = NodeAffinitySchedulingStrategy(node, soft=False)
                self._slots.add(Slot(_NodeWorker.options(scheduling_strategy=where).remote(False, self._package), node))

    def _fill_gpus(self) -> None:
        blocked = sum(slot.blocked for slot in self._slots)
        there = max(0, self._nodes.gpus(self._target) - blocked)
        wanted = there if self._wanted is None else self._wanted
        share = self._share
        self._allowed = wanted if share is None else share.allowed(len(self.workers), wanted, there)
        self._crowded = self._allowed < min(wanted, there)
        for slot in self._slots.usable[self._allowed :]:
            if slot.worker is None:
                self._slots.drop(slot)
        for _ in range(self._allowed - len(self._slots.usable)):
            options = self._nodes.gpu_options(self._target)
            self._slots.add(Slot(_NodeWorker.options(num_gpus=1, **options).remote(True, self._package), None))

    def _ask_again(self, slot: Slot) -> None:
        time.sleep(RETURN_SECONDS)
        self._slots.ask(slot)

    def _give_up(self, slot: Slot, error: RayError) -> None:
        """Drop an actor that Ray does not restart: its node has gone, or no process of it can start."""
        self._slots.drop(slot)
        if slot.node is not None and not self._nodes.alive(slot.node):
            return
        self._failures += 1
        if not self.workers and (self._failures >= FAILURES_MOST or not self._nodes.grows):
            raise ClusterError(f"a measuring worker must start, got: {in_one_line(error)}")

    def _admit(self, slot: Slot, found: WorkerDescription) -> Change | None:
        """Take on a worker whose figures compare with the others'."""
        if self._admission.quarantined(found.device):
            self._block_or_drop(slot, found)
            return None
        if (reason := self._admission.version_fault(found)) is not None:
            return self._refuse(slot, UnusableNode(found.node, found.host, reason))
        if (reason := self._admission.device_fault(found.device)) is not None:
            self._block_or_drop(slot, found)
            self._fill()
            return Change("refused", self._admission.refuse(found.host, reason))
        self._admission.admit(found.device)
        self._nodes.settle(self._target)
        slot.worker = Worker(self._names.name(found), found.device, slot.actor)
        former, slot.former, slot.instance = slot.former, None, found.instance
        return Change("came", f"{slot.worker.name} has come", slot.worker, former)

    def _block_or_drop(self, slot: Slot, found: WorkerDescription) -> None:
        """Block a GPU of this machine, or a quarantined one; pass over a node, whose GPUs are all of one kind."""
        if self._target != CPU and (not self._nodes.grows or self._admission.quarantined(found.device)):
            self._slots.block(slot)
            return
        self._slots.drop(slot)
        self._nodes.rule_out(found.node)

    def _refuse(self, slot: Slot, unusable: UnusableNode) -> Change:
        self._slots.drop(slot)
        self._nodes.rule_out(unusable.node)
        self._fill()
        return Change("refused", self._admission.refuse(unusable.host, unusable.reason))


_NodeWorker = ray.remote(num_cpus=0, max_restarts=-1)(NodeWorker)
