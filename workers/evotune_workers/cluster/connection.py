"""Starting a local Ray, or joining a cluster, whose nodes then run the code of this machine."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray
from ray._private import ray_constants, services
from ray.exceptions import RayError

from evotune_workers.cluster.observers import BOTH_AGENTS, without_observers
from evotune_workers.system.temporary import run_folder
from evotune_workers.system.warden import warden

# Builds and results are small; Ray's default would take 30 % of the machine's memory.
OBJECT_STORE_BYTES = 256 << 20
CONNECT_SECONDS = 5.0
# Ray makes sockets 86 characters further down, and the path of a socket holds 107.
LONGEST_FOLDER = 21
TOKEN_SOURCES = "RAY_AUTH_TOKEN, the file RAY_AUTH_TOKEN_PATH, ~/.ray/auth_token"
SILENT: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}


class ClusterError(RuntimeError):
    """Ray cannot be started or joined, or has nothing to measure on; one line."""


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Join the cluster at `address`, or start a local one that ends with the context; raises ClusterError."""
    with contextlib.ExitStack() as stack:
        if address is not None and address.startswith("ray://"):
            raise ClusterError(
                f"a search must run on a node of its cluster, got {address} of Ray's client: run it there"
            )
        folder = stack.enter_context(_ray_folder()) if address is None else None
        stack.enter_context(_without_node_logs())
        stack.callback(ray.shutdown)  # also after a start that failed half-way
        try:
            _start(folder) if folder is not None else _join(str(address))
        except (ConnectionError, RuntimeError, ValueError, OSError, RayError) as error:
            rule = f"a Ray cluster must answer at {address}" if address else "a local Ray must start"
            raise ClusterError(f"{rule}, got: {_why(error)}") from error
        yield


@contextlib.contextmanager
def _without_node_logs() -> Iterator[None]:
    """Keep a lost node's log, which Ray would print, off standard output, which is for the result."""
    prints = ray._private.worker.print_to_stdstream
    ray._private.worker.print_to_stdstream = lambda data, ignore_prefix: None
    try:
        yield
    finally:
        ray._private.worker.print_to_stdstream = prints


def _why(error: BaseException) -> str:
    """Return one line for an error; Ray reports a wrong token on a page, or only in the error's cause."""
    told = f"{error} {error.__cause__}"
    if any(mark in told for mark in ("InvalidAuthToken", "no authentication token was found")):
        return f"a token that is missing here or is not the cluster's (RAY_AUTH_MODE=token; {TOKEN_SOURCES})"
    return in_one_line(error)


def in_one_line(error: BaseException) -> str:
    """Return the first paragraph of an error's text; Ray writes each version that does not match on its own line."""
    return " ".join(str(error).strip().split("\n\n")[0].split())


@contextlib.contextmanager
def _ray_folder() -> Iterator[Path]:
    """Make a folder for the files of a local Ray; at the end, end the processes that still write there."""
    short = len(tempfile.gettempdir()) <= LONGEST_FOLDER
    with run_folder(None if short else Path("/tmp")) as folder, warden(folder):
        yield folder


def _start(folder: Path) -> None:
    """Start a Ray that other machines cannot reach."""
    # Ray warns, on every start, of a default that will change for nodes without GPUs.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # Ray's workers run at nice 15 otherwise, and the child that measures with them: anything would preempt it.
    os.environ.setdefault("RAY_worker_niceness", "0")
    with _loopback_only(), _sessions_of_their_own(), without_observers(BOTH_AGENTS):
        ray.init(
            # RAY_ADDRESS must not turn "local" into "the cluster that this shell happens to know".
            address="local",
            num_cpus=len(os.sched_getaffinity(0)),
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            _temp_dir=str(folder),
            **SILENT,
        )


@contextlib.contextmanager
def _loopback_only() -> Iterator[None]:
    """Make Ray listen on the loopback interface only, as it does on systems where it supports no clusters.

    The constant is for this process, the variable for the processes that Ray starts.
    """
    name = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR
    before, set_before = ray_constants.ENABLE_RAY_CLUSTER, os.environ.get(name)
    ray_constants.ENABLE_RAY_CLUSTER, os.environ[name] = False, "0"
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
        os.environ.pop(name) if set_before is None else os.environ.update({name: set_before})


@contextlib.contextmanager
def _sessions_of_their_own() -> Iterator[None]:
    """Give Ray's processes a session of their own, so that a signal to the search's process group misses them.

    The search answers such a signal, as `timeout` sends it, and Ray's processes end with the search.
    """
    started = services.ConsolePopen
    services.ConsolePopen = functools.partial(started, start_new_session=True)
    try:
        yield
    finally:
        services.ConsolePopen = started


def _join(address: str) -> None:
    """Join a cluster. Nodes get this package from here, so that they run the same code as this machine."""
    _check_reachable(address)
    package = str(Path(__file__).parents[1])
    ray.init(address=address, runtime_env={"py_modules": [package], "excludes": ["__pycache__"]}, **SILENT)


def _check_reachable(address: str) -> None:
    """Raise OSError at once where nothing listens; Ray itself keeps trying for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
