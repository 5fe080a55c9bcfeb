"""A Ray without the processes that only observe it: nobody asks them in the Ray of one search.

Each is a Python process that imports Ray; together they cost 5 s of a core at every start.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ray._private import ray_constants, services
from ray._private.node import Node

# The autoscaler's monitor, the dashboard and the log monitor, which a node may lack.
_OBSERVERS = ("start_monitor", "start_api_server", "start_log_monitor")
# Agents, without which a raylet ends, and the ports that it waits for from each.
Agents = Mapping[str, tuple[str, ...]]
DASHBOARD_AGENT: Agents = {
    ray_constants.PROCESS_TYPE_DASHBOARD_AGENT: (
        "metrics_agent_port",
        "metrics_export_port",
        "dashboard_agent_listen_port",
    )
}
# A node that installs code of the driver's needs the second one.
BOTH_AGENTS: Agents = {
    **DASHBOARD_AGENT,
    ray_constants.PROCESS_TYPE_RUNTIME_ENV_AGENT: ("runtime_env_agent_port",),
}
_IDLE_AGENT = Path(__file__).with_name("idle_agent.py")


@contextlib.contextmanager
def without_observers(idle: Agents) -> Iterator[None]:
    """Start no autoscaler, dashboard or log monitor, and idle processes in the place of these agents."""
    with contextlib.ExitStack() as replaced:
        for name in _OBSERVERS:
            replaced.enter_context(_replaced(Node, name, lambda *_, **__: None))
        command = services._build_python_executable_command_memory_profileable

        def idle_command(component: str, *arguments: Any, **options: Any) -> list[str]:
            if component not in idle:
                return list(command(component, *arguments, **options))
            return [sys.executable, "-S", "-E", str(_IDLE_AGENT), ",".join(idle[component])]

        replaced.enter_context(_replaced(services, command.__name__, idle_command))
        yield


@contextlib.contextmanager
def _replaced(owner: object, name: str, value: object) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
