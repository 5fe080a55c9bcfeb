"""The answer of a node that lacks a package, a compiler or a device; data, so that the cluster can ask another node."""

from __future__ import annotations

import socket
from dataclasses import dataclass

import ray


@dataclass(frozen=True)
class UnusableNode:
    """A node that cannot do what it was asked for, whatever the configuration."""

    node: str
    host: str
    reason: str


def this_node_lacks(error: Exception) -> UnusableNode:
    """Return this node as unusable, with the last line of the error as the reason."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return UnusableNode(*node_and_host(), lines[-1])


def node_and_host() -> tuple[str, str]:
    """Return Ray's id of this node, and the name of its host."""
    return ray.get_runtime_context().get_node_id(), socket.gethostname()
