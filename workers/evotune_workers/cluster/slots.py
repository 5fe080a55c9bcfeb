"""What a worker pool deals with: slots, the workers in them, and what workers are called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from evotune_workers.cluster.node_worker import WorkerDescription
from evotune_workers.kernel.device import Device
from evotune_workers.kernel.targets import CPU


@dataclass(frozen=True, eq=False)
class Worker:
    """A measuring actor and the device that it owns. One that was lost and came back is another."""

    name: str
    device: Device
    actor: Any


@dataclass(frozen=True)
class Change:
    """A worker can be given work, or a node turned out to be of no use; `text` says which, in a line.

    `former`: the worker that came back as this one, which has another name where Ray began it elsewhere.
    """

    kind: Literal["came", "refused"]
    text: str
    worker: Worker | None = None
    former: Worker | None = None


@dataclass(eq=False)
class Slot:
    """An actor that was asked for. `node`: the one that it must be on; `worker`: what has come.

    `blocked`: it holds a GPU that must not measure, which Ray would else give to the next. `former`: the worker that
    was lost, `instance` its process and `stale` one that was told to end, whose answers count no more.
    """

    actor: Any
    node: str | None
    worker: Worker | None = None
    blocked: bool = False
    former: Worker | None = None
    instance: str | None = None
    stale: str | None = None


class Names:
    """The same name whenever a device of a node comes back; numbered where hosts have the same name."""

    def __init__(self, target: str) -> None:
        """For the workers of a target."""
        self._target = target
        self._names: dict[tuple[str, str], str] = {}

    def of(self, description: WorkerDescription) -> str:
        """What the worker of that description is called."""
        device = (description.node, description.device.uuid)
        if device not in self._names:
            name = (
                f"cpu of {description.host}"
                if self._target == CPU
                else f"gpu {description.place} of {description.host}"
            )
            count = sum(each == name or each.startswith(f"{name} (") for each in self._names.values())
            self._names[device] = f"{name} ({count + 1})" if count else name
        return self._names[device]

    def node(self, name: str) -> str:
        """The node of the worker of that name."""
        return next(node for (node, _), each in self._names.items() if each == name)
