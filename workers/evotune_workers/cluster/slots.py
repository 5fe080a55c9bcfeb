"""Slots of a worker pool: the actors that were asked for, and the workers that have come in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import ray

from evotune_workers.cluster.node_worker import WorkerDescription
from evotune_workers.kernel.device import Device
from evotune_workers.kernel.targets import CPU


@dataclass(frozen=True, eq=False)
class Worker:
    """A NodeWorker actor and the device that it owns. A worker that was lost and came back is another Worker."""

    name: str
    device: Device
    actor: Any


@dataclass(frozen=True)
class Change:
    """A worker can be given work, or a node turned out to be of no use; `text` says which, in a line.

    `former`: the worker that came back as this one. Its name differs where Ray restarted the actor elsewhere.
    """

    kind: Literal["came", "refused"]
    text: str
    worker: Worker | None = None
    former: Worker | None = None


@dataclass(eq=False)
class Slot:
    """An actor that was asked for. `node`: the node that it must be on; `worker`: the worker that has come.

    `blocked`: the actor keeps a GPU that must not measure, which Ray would else give to the next actor. `former`: the
    worker that was lost. `instance`: its process. `stale`: a process that was told to end, whose answers do not count.
    """

    actor: Any
    node: str | None
    worker: Worker | None = None
    blocked: bool = False
    former: Worker | None = None
    instance: str | None = None
    stale: str | None = None


class Slots:
    """All slots of a pool, oldest first, with the answers that are awaited from their actors."""

    def __init__(self) -> None:
        """Start with no slot."""
        self._slots: list[Slot] = []
        self._awaited: dict[Any, Slot] = {}
        self._departed: list[Worker] = []

    def __iter__(self) -> Iterator[Slot]:
        """Iterate over a copy, so that slots can be dropped meanwhile."""
        return iter(tuple(self._slots))

    def __len__(self) -> int:
        """Return the number of slots."""
        return len(self._slots)

    @property
    def workers(self) -> tuple[Worker, ...]:
        """Workers that can be given work."""
        return tuple(slot.worker for slot in self._slots if slot.worker is not None)

    @property
    def usable(self) -> list[Slot]:
        """Slots that have a worker, or may get one."""
        return [slot for slot in self._slots if not slot.blocked]

    @property
    def futures(self) -> tuple[Any, ...]:
        """Futures of the descriptions that actors have been asked for."""
        return tuple(self._awaited)

    def holding(self, worker: Worker) -> Slot | None:
        """Return the slot that has this worker, if it still has it."""
        return next((slot for slot in self._slots if slot.worker is worker), None)

    def add(self, slot: Slot) -> None:
        """Add a slot and ask its actor for a description."""
        self._slots.append(slot)
        self.ask(slot)

    def ask(self, slot: Slot) -> None:
        """Ask the slot's actor for a description; the answer comes when its process has started."""
        self._awaited[slot.actor.describe.remote()] = slot

    def answered(self, future: Any) -> Slot:
        """Remove a future of `futures` and return the slot whose actor it comes from."""
        return self._awaited.pop(future)

    def block(self, slot: Slot) -> None:
        """Keep the slot's GPU from Ray without measuring on it."""
        slot.blocked = True
        self._give_up_former(slot)

    def drop(self, slot: Slot) -> None:
        """Remove the slot and end its actor."""
        self._slots.remove(slot)
        self._give_up_former(slot)
        self._awaited = {future: each for future, each in self._awaited.items() if each is not slot}
        ray.kill(slot.actor)

    def departed(self) -> list[Worker]:
        """Return the workers that were lost and will not come back, each once."""
        departed, self._departed = self._departed, []
        return departed

    def _give_up_former(self, slot: Slot) -> None:
        if slot.former is not None:
            self._departed.append(slot.former)
            slot.former = None


class WorkerNames:
    """Names workers: a device of a node keeps its name, and a number tells hosts of the same name apart."""

    def __init__(self, target: str) -> None:
        """Name the workers of a search for this target."""
        self._target = target
        self._names: dict[tuple[str, str], str] = {}

    def name(self, description: WorkerDescription) -> str:
        """Return the name of the described worker."""
        device = (description.node, description.device.uuid)
        if device not in self._names:
            kind = "cpu" if self._target == CPU else f"gpu {description.place}"
            name = f"{kind} of {description.host}"
            count = sum(each == name or each.startswith(f"{name} (") for each in self._names.values())
            self._names[device] = f"{name} ({count + 1})" if count else name
        return self._names[device]

    def node(self, name: str) -> str:
        """Return the node of the worker of that name."""
        return next(node for (node, _), each in self._names.items() if each == name)
