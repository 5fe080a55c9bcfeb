"""Clusters of several raylets on this machine, each a node to Ray."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ray.cluster_utils import Cluster as Raylets

from evotune_workers.cluster.observers import BOTH_AGENTS, DASHBOARD_AGENT, without_observers
from tests.support.running import running_named


class NodesHere:
    """A head and the nodes that are added to it."""

    def __init__(self, installs_code: bool, **head: Any) -> None:
        """With the head alone. Processes that only watch a cluster are not started."""
        self._idle = DASHBOARD_AGENT if installs_code else BOTH_AGENTS
        with without_observers(self._idle):
            self._raylets = Raylets(initialize_head=True, head_node_args={"include_dashboard": False, **head})
        self._added: list[Any] = []

    @property
    def address(self) -> str:
        """The value of `--ray-address`."""
        return str(self._raylets.address)

    def add(self, **node: Any) -> Any:
        """Add a node, of one core unless told otherwise."""
        with without_observers(self._idle):
            self._added.append(self._raylets.add_node(**{"num_cpus": 1, **node}))
        return self._added[-1]

    def compiles_on(self, node: Any) -> bool:
        """Return True if a compiler runs there at this moment."""
        [raylet] = node.all_processes["raylet"]
        return bool(running_named("cc1plus", raylet.process.pid))

    def kill(self, node: Any) -> None:
        """As a spot machine that is taken away."""
        self._raylets.remove_node(node, allow_graceful=False)
        self._added.remove(node)

    @contextmanager
    def more(self) -> Iterator[None]:
        """End what is added in this context, gracefully: Ray learns later of a node that was killed."""
        before = list(self._added)
        yield
        for node in [each for each in self._added if each not in before]:
            self._raylets.remove_node(node, allow_graceful=True)
            self._added.remove(node)
        self._raylets.wait_for_nodes()

    def close(self) -> None:
        """End all of them."""
        self._raylets.shutdown()


@contextmanager
def nodes_here(*, installs_code: bool = True, **head: Any) -> Iterator[NodesHere]:
    """Run a cluster whose head has these arguments of `ray start`; see NodesHere.

    Nodes that do not install a driver's code run what this machine has, and start sooner.
    """
    made = NodesHere(installs_code, **head)
    try:
        yield made
    finally:
        made.close()


def another_version(folder: Path, package: str, version: str) -> dict[str, str]:
    """Variables of a node on which a package seems to be of another version."""
    metadata = folder / f"{package}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    return {"PYTHONPATH": str(folder)}
