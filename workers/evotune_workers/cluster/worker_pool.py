"""Who measures for a search: the actors that were asked for, those that have come, and those that have gone.

Ray places the actors: one on the CPU of each node, or one on each GPU of the target's kind. Those of GPUs wait for one
where there is none, by which an autoscaling cluster knows what it lacks, and when their node dies they begin again on
another. A node that cannot be used is passed over from then on.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from evotune_workers.cluster.connection import ClusterError, in_one_line
from evotune_workers.cluster.gpu_sharing import GpuShare
from evotune_workers.cluster.node_versions import difference, node_versions
from evotune_workers.cluster.node_worker import NodeWorker, WorkerDescription
from evotune_workers.cluster.nodes import Nodes
from evotune_workers.cluster.slots import Change, Names, Slot, Worker
from evotune_workers.cluster.unusable_node import UnusableNode
from evotune_workers.kernel.device import Device
from evotune_workers.kernel.targets import CPU

# Between two looks at which nodes there are.
LOOK_SECONDS = 1.0
RETURN_SECONDS = 0.1
# Actors that fail one after the other, wherever Ray places them.
FAILURES_MOST = 3
# Without any worker: one that only has to start; and one for which a machine has to be found and booted first.
START_SECONDS = 120.0
GROWTH_SECONDS = 900.0


# A device's name and its limits.
Model = tuple[str, Mapping[str, int]]


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
        """For a pickled KernelPackage. `wanted` GPUs, None for all that there are; `share` None: no search beside it.

        `model`: what was measured on before; None where the first worker decides.
        Asks for workers at once. Raises ClusterError where there can be none.
        """
        self._package, self._target, self._nodes = package, target, nodes
        self._wanted, self._share = wanted, share
        self._here = node_versions()
        self._slots: list[Slot] = []
        self._awaited: dict[Any, Slot] = {}
        self._names = Names(target)
        self._model, self._met = model, False
        self._quarantined: set[str] = set()
        self._departed: list[Worker] = []
        self._bringing = False
        self._failures = 0
        self._allowed, self._crowded = 0, False
        self._refused: list[str] = []
        self._had_one = time.monotonic()
        self._closed = False
        self._fill()
        if not self._slots and not self._crowded:
            raise ClusterError(nodes.nothing_for(target))

    @property
    def workers(self) -> tuple[Worker, ...]:
        """Those that can be given work, in the order of their slots."""
        return tuple(slot.worker for slot in self._slots if slot.worker is not None)

    @property
    def wanted(self) -> int:
        """How many workers there are to be."""
        return len(self._usable) if self._wanted is None else self._wanted

    @property
    def _usable(self) -> list[Slot]:
        """Slots that have a worker, or may get one."""
        return [slot for slot in self._slots if not slot.blocked]

    @property
    def futures(self) -> tuple[Any, ...]:
        """What tells that a worker has come: for `take`."""
        return tuple(self._awaited)

    @property
    def nobody_left(self) -> bool:
        """Whether there is no worker, and none to come."""
        return not self.workers and not self._awaited and not self._crowded

    def departed(self) -> list[Worker]:
        """Workers that were lost and will not come back, each told once."""
        told, self._departed = self._departed, []
        return told

    @property
    def surplus(self) -> tuple[Worker, ...]:
        """Workers to be dismissed as soon as they have nothing in hand: other searches wait for their GPUs."""
        return self.workers[self._allowed :] if self._share is not None else ()

    def assembled(self, seconds: float) -> list[Change]:
        """What happened within a time that ends when all who were asked for are there. Raises ClusterError."""
        if not self._awaited:
            time.sleep(seconds)
        done, _ = ray.wait(list(self._awaited), num_returns=1, timeout=seconds) if self._awaited else ([], [])
        changes = [change for future in done if (change := self.take(future)) is not None]
        self.look()
        return changes

    def look(self) -> None:
        """Asks for workers where there is room for more; looks at the cluster only now and then.

        Raises ClusterError when there has been no worker for too long.
        """
        if time.monotonic() - self._looked >= LOOK_SECONDS:
            self._fill()
        if self.workers or self._crowded:
            self._had_one = time.monotonic()
            return
        if not self._usable and (not self._nodes.grows or (self._refused and not self._met)):
            raise ClusterError(self._nobody("there is none"))
        bringing = self._nodes.grows and self._target != CPU and not self._nodes.gpus(self._target)
        if self._bringing and not bringing:
            self._had_one = time.monotonic()  # the machine is there: its worker has yet to start
        self._bringing = bringing
        limit = GROWTH_SECONDS if bringing else START_SECONDS
        if time.monotonic() - self._had_one > limit:
            raise ClusterError(self._nobody(f"none has come within {limit:.0f} s"))

    def take(self, future: Any) -> Change | None:
        """What a future of `futures` came to, if anything. Raises ClusterError where no worker can start."""
        slot = self._awaited.pop(future)
        try:
            description: WorkerDescription | UnusableNode = ray.get(future)
        except ActorUnavailableError:
            time.sleep(RETURN_SECONDS)  # until Ray has restarted it, every call fails at once
            self._await(slot)
            return None
        except RayError as error:
            self._failed(slot, error)
            return None
        self._failures = 0
        if isinstance(description, UnusableNode):
            return self._refuse(slot, description)
        if description.instance == slot.stale:
            time.sleep(RETURN_SECONDS)
            self._await(slot)
            return None
        if self._is_quarantined(description):
            self._hold_or_drop(slot, description)
            return None
        if (reason := difference(self._here, description.versions)) is not None:
            return self._refuse(slot, UnusableNode(description.node, description.host, reason))
        if (reason := self._other_device(description.device)) is not None:
            self._hold_or_drop(slot, description)
            self._fill()
            return self._tell(f"{description.host} does not measure: {reason}")
        self._model, self._met = _model(description.device), True
        self._nodes.settle(self._target)
        slot.worker = Worker(self._names.of(description), description.device, slot.actor)
        former, slot.former, slot.instance = slot.former, None, description.instance
        return Change("came", f"{slot.worker.name} has come", slot.worker, former)

    def lost(self, worker: Worker) -> None:
        """Its process has died; it comes back when Ray has begun it again."""
        for slot in self._slots:
            if slot.worker is worker:
                slot.worker, slot.former = None, worker
                self._await(slot)

    def restart(self, worker: Worker) -> None:
        """Gives it a fresh process; what it had in hand is lost, and it comes back as another."""
        for slot in self._slots:
            if slot.worker is worker:
                slot.stale = slot.instance
        ray.kill(worker.actor, no_restart=False)
        self.lost(worker)

    def dismiss(self, worker: Worker) -> None:
        """Ends it: its device is free for others."""
        self._drop(next(slot for slot in self._slots if slot.worker is worker))

    def quarantine(self, worker: Worker) -> None:
        """Its device measures no more: a GPU is held, so that Ray gives it to no other; a node is passed over."""
        slots = [slot for slot in self._slots if worker in (slot.worker, slot.former)]
        if self._target == CPU:
            self._nodes.rule_out(self._names.node(worker.name))
            for slot in slots:
                slot.former = None
                self._drop(slot)
        else:
            self._quarantined.add(worker.device.uuid)
            for slot in slots:
                slot.former = None
                if slot.worker is worker:
                    slot.worker, slot.blocked = None, True
        self._fill()

    def keep_only(self, worker: Worker) -> None:
        """Ends all others, and asks for no more."""
        self._wanted, self._closed = 1, True
        for slot in [slot for slot in self._slots if slot.worker is not worker]:
            self._drop(slot)
        self._fill()

    def close(self) -> None:
        """Ends all; other searches have their GPUs at once."""
        for slot in list(self._slots):
            self._drop(slot)
        if self._share is not None:
            self._share.leave()

    def _fill(self) -> None:
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
                self._add(Slot(_NodeWorker.options(scheduling_strategy=where).remote(False, self._package), node))

    def _fill_gpus(self) -> None:
        held = sum(slot.blocked for slot in self._slots)
        there = max(0, self._nodes.gpus(self._target) - held)
        wanted = there if self._wanted is None else self._wanted
        share = self._share
        self._allowed = wanted if share is None else share.allowed(len(self.workers), wanted, there)
        self._crowded = self._allowed < min(wanted, there)
        for slot in self._usable[self._allowed :]:
            if slot.worker is None:
                self._drop(slot)
        for _ in range(self._allowed - len(self._usable)):
            options = self._nodes.gpu_options(self._target)
            self._add(Slot(_NodeWorker.options(num_gpus=1, **options).remote(True, self._package), None))

    def _add(self, slot: Slot) -> None:
        self._slots.append(slot)
        self._await(slot)

    def _await(self, slot: Slot) -> None:
        self._awaited[slot.actor.describe.remote()] = slot

    def _drop(self, slot: Slot) -> None:
        self._slots.remove(slot)
        if slot.former is not None:
            self._departed.append(slot.former)
        self._awaited = {future: each for future, each in self._awaited.items() if each is not slot}
        ray.kill(slot.actor)

    def _failed(self, slot: Slot, error: RayError) -> None:
        """An actor that will not be again: its node has gone, or no process of it can start."""
        self._drop(slot)
        if slot.node is not None and not self._nodes.alive(slot.node):
            return
        self._failures += 1
        if not self.workers and (self._failures >= FAILURES_MOST or not self._nodes.grows):
            raise ClusterError(f"a measuring worker must start, got: {in_one_line(error)}")

    def _other_device(self, device: Device) -> str | None:
        """Figures of two devices do not compare."""
        if device.target != self._target:
            return f"its device must be of target {self._target}, got {device.name} ({device.target})"
        if self._model not in (None, _model(device)):
            what = f"{self._model[0]} with the limits of what was measured on before"
            return f"its device must be {what}, got {device.name}"
        return None

    def _is_quarantined(self, description: WorkerDescription) -> bool:
        return description.device.uuid in self._quarantined

    def _hold_or_drop(self, slot: Slot, description: WorkerDescription) -> None:
        """A GPU here, or one that is quarantined, is held; other nodes have GPUs of one kind, and are passed over."""
        if self._target != CPU and (not self._nodes.grows or self._is_quarantined(description)):
            slot.blocked = True
            if slot.former is not None:
                self._departed.append(slot.former)
                slot.former = None
            return
        self._drop(slot)
        self._nodes.rule_out(description.node)

    def _refuse(self, slot: Slot, unusable: UnusableNode) -> Change:
        self._drop(slot)
        self._nodes.rule_out(unusable.node)
        self._fill()
        return self._tell(f"{unusable.host} does not measure: {unusable.reason}")

    def _tell(self, reason: str) -> Change:
        self._refused.append(reason)
        return Change("refused", reason)

    def _nobody(self, what: str) -> str:
        why = "; ".join(dict.fromkeys(self._refused)) or "other work may hold the devices"
        return f"a worker must measure, {what}: {why}"


def _model(device: Device) -> Model:
    """What the figures of two devices must have in common to be compared."""
    return device.name, device.limits


_NodeWorker = ray.remote(num_cpus=0, max_restarts=-1)(NodeWorker)
