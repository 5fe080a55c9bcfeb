"""The nodes of a cluster: those that are alive, their GPUs, and those that a search cannot use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ray

from evotune_workers.kernel.targets import accelerator_types, known_accelerator

ID_LABEL = "ray.io/node-id"
ACCELERATOR = "accelerator_type:"
# As little of a node's `accelerator_type:L4` as Ray's own option accelerator_type asks for.
A_LITTLE = 0.001


class Nodes:
    """The nodes as of the latest call of `look`."""

    def __init__(self, grows: bool) -> None:
        """`grows`: more nodes may come."""
        self.grows = grows
        self._alive: dict[str, Mapping[str, Any]] = {}
        self._ruled_out: set[str] = set()
        self._settled: str | None = None
        self.look()

    def look(self) -> None:
        """Ask Ray for the live nodes."""
        self._alive = {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}

    def alive(self, node: str) -> bool:
        """Look again, and return True for a live node."""
        self.look()
        return node in self._alive

    def rule_out(self, node: str) -> None:
        """Measure on this node no more."""
        self._ruled_out.add(node)

    def measuring_on_cpu(self) -> list[str]:
        """Return the nodes whose CPU may measure."""
        return [node for node in self._alive if node not in self._ruled_out]

    def gpus(self, target: str) -> int:
        """Return the number of GPUs of the kind that a search for this target measures on."""
        _, fit = self._choice(target)
        return sum(int(self._alive[node]["GPU"]) for node in fit)

    def settle(self, target: str) -> None:
        """Settle the search on its first worker's kind of GPU."""
        self._settled = self._settled or self._choice(target)[0]

    def gpu_options(self, target: str) -> dict[str, Any]:
        """Return Ray's options for an actor on a GPU of that kind, on none of the nodes that are ruled out."""
        kind, fit = self._choice(target)
        if kind is not None:
            return {"resources": {f"{ACCELERATOR}{kind}": A_LITTLE}, **self.elsewhere(self._ruled_out)}
        return self.elsewhere(self._ruled_out | (self._alive.keys() - set(fit)))

    def elsewhere(self, nodes: set[str]) -> dict[str, Any]:
        """Return Ray's options for a task or an actor that must be on none of these nodes."""
        passed_over = sorted(nodes & self._alive.keys())
        return {"label_selector": {ID_LABEL: f"!in({','.join(passed_over)})"}} if passed_over else {}

    def others_than(self, nodes: set[str]) -> bool:
        """Look again, and return True when there are other nodes than these."""
        self.look()
        return bool(self._alive.keys() - nodes)

    def nothing_for(self, target: str) -> str:
        """Return the error for a search that has nothing to measure on."""
        found = sorted({kind for resources in self._alive.values() for kind in _kinds(resources)})
        has = ", ".join(found) or "no GPU"
        kind = self._choice(target)[0] or "them"
        asked = f", --gpus N to ask an autoscaling cluster for {kind}" if self.grows else ""
        what = f"a node must have a device for the target {target}, this cluster has {has}"
        return f"{what}: pass another --target{asked}, or --build-only to compile without measuring"

    def _choice(self, target: str) -> tuple[str | None, list[str]]:
        """Choose the target's kind of GPU that the cluster has most of; return Ray's name of it, and its nodes.

        Where the cluster has none: None with the nodes whose kind of GPU is unknown, or else the best known kind
        without nodes, which an autoscaling cluster may bring.
        """
        usable = {
            node: _kinds(resources)
            for node, resources in self._alive.items()
            if node not in self._ruled_out and resources.get("GPU")
        }
        if not self.grows:
            return None, list(usable)  # Ray names a machine's first GPU only: each worker tells which GPU it has
        known = (self._settled,) if self._settled is not None else accelerator_types(target)
        having = {kind: [node for node, kinds in usable.items() if kind in kinds] for kind in known}
        counts = {kind: sum(int(self._alive[node]["GPU"]) for node in nodes) for kind, nodes in having.items()}
        most = max(known, key=lambda kind: counts[kind], default=None)
        if most is not None and having[most]:
            return most, having[most]
        unknown = [node for node, kinds in usable.items() if not any(known_accelerator(kind) for kind in kinds)]
        return (None, unknown) if unknown or most is None else (known[0], [])


def _kinds(resources: Mapping[str, Any]) -> list[str]:
    return [name.removeprefix(ACCELERATOR) for name in resources if name.startswith(ACCELERATOR)]
