"""A cluster with Ray's token authentication is joined with its token, and with nothing else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.command import environment, evotune_started
from tests.support.paths import SAXPY
from tests.support.saxpy import SIXTEEN_BUILDS

TOKEN, ANOTHER = "0123456789abcdef" * 3, "f" * 48
# Ray reads a process's token once: the cluster has a process of its own.
CLUSTER = """
import sys
from tests.support.ray_nodes import nodes_here
with nodes_here(num_cpus=1) as nodes:
    print(nodes.address, flush=True)
    sys.stdin.read()
"""
SEARCH = ("search", str(SAXPY), "--space", "space.yaml", "--target", "cpu", "--build-only", "--budget", "1")


@pytest.fixture
def variables(tmp_path: Path) -> Mapping[str, str]:
    """Variables by which Ray asks for a token, and finds none in the user's folder."""
    return {"RAY_AUTH_MODE": "token", "HOME": str(tmp_path)}


@pytest.fixture
def address(tmp_path: Path, variables: Mapping[str, str]) -> Iterator[str]:
    """Run a cluster with a token."""
    own = {**environment(), **variables, "RAY_AUTH_TOKEN": TOKEN}
    command = [sys.executable, "-c", CLUSTER]
    with subprocess.Popen(
        command, cwd=tmp_path, env=own, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as cluster:
        assert cluster.stdin and cluster.stdout
        yield next(line.strip() for line in cluster.stdout if line.strip()[-1:].isdigit())
        cluster.stdin.close()


def joined(address: str, folder: Path, variables: Mapping[str, str]) -> list[tuple[int, str]]:
    """Exit codes and what was told, with the cluster's token, without any, and with another one."""
    (folder / "space.yaml").write_text(SIXTEEN_BUILDS)
    with ExitStack() as running:
        started = [
            running.enter_context(
                evotune_started(
                    *(*SEARCH, "--db", f"{place}.db", "--ray-address", address),
                    folder=folder,
                    variables={**variables, **token},
                )
            )
            for place, token in enumerate(({"RAY_AUTH_TOKEN": TOKEN}, {}, {"RAY_AUTH_TOKEN": ANOTHER}))
        ]
        return [(process.wait(120), process.communicate()[1]) for process in started]


def test_a_cluster_is_joined_with_its_token_alone(address: str, tmp_path: Path, variables: Mapping[str, str]) -> None:
    (code, told), *refused = joined(address, tmp_path, variables)
    assert code == 0, told
    for code, told in refused:
        [error] = [line for line in told.splitlines() if line.startswith("error: ")]
        assert code == 2 and "Traceback" not in told
        assert "a token that is missing here or is not the cluster's" in error and "RAY_AUTH_TOKEN" in error
