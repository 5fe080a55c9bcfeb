"""A cluster with Ray's token authentication is joined with its token, and with nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import environment
from tests.support.paths import SAXPY
from tests.support.saxpy import SIXTEEN_BUILDS

TOKEN, ANOTHER = "0123456789abcdef" * 3, "f" * 48
# Ray reads a process's token once: the cluster and each search have processes of their own.
SCRIPT = """
import json, os, sys
from pathlib import Path
from tests.support.forked.process import start
from tests.support.ray_nodes import nodes_here
def search(token):
    variables = {name: value for name, value in os.environ.items() if name != "RAY_AUTH_TOKEN"}
    with_token = variables if token is None else {**variables, "RAY_AUTH_TOKEN": token}
    arguments = [*sys.argv[2:], "--db", f"{token}.db", "--ray-address", nodes.address]
    return start("evotune", *arguments, folder=Path.cwd(), variables=with_token)
with nodes_here(num_cpus=1) as nodes:
    searches = [search(token) for token in json.loads(sys.argv[1])]
    said = [each.communicate()[1] for each in searches]
print(json.dumps([(each.returncode, text) for each, text in zip(searches, said)]))
"""
SEARCH = ("search", str(SAXPY), "--space", "space.yaml", "--target", "cpu", "--build-only", "--budget", "1")


@pytest.fixture
def joined(tmp_path: Path) -> list[tuple[int, str]]:
    """Exit codes and what was told, with the cluster's token, without any, and with another one."""
    (tmp_path / "space.yaml").write_text(SIXTEEN_BUILDS)
    variables = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, "HOME": str(tmp_path)}
    command = [sys.executable, "-c", SCRIPT, json.dumps([TOKEN, None, ANOTHER]), *SEARCH]
    ran = subprocess.run(
        command, cwd=tmp_path, env={**environment(), **variables}, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    found: list[tuple[int, str]] = json.loads(ran.stdout.splitlines()[-1])
    return found


def test_a_cluster_is_joined_with_its_token_alone(joined: list[tuple[int, str]]) -> None:
    (code, _), *refused = joined
    assert code == 0
    for code, told in refused:
        [error] = [line for line in told.splitlines() if line.startswith("error: ")]
        assert code == 2 and "Traceback" not in told
        assert "a token that is missing here or is not the cluster's" in error and "RAY_AUTH_TOKEN" in error
