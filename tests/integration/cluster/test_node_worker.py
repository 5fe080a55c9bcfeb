"""A node builds without torch, and starts a child before its actor imports torch."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

from evotune_workers.compilers.builder import BuildJob, recipe_of
from evotune_workers.kernel.folder import load_kernel, pack_kernel
from tests.support.command import environment
from tests.support.paths import SAXPY

BUILD = """
import pickle, sys
from pathlib import Path
from evotune_workers.cluster import build_task
package, recipe = (Path(name).read_bytes() for name in sys.argv[1:])
build_task.prepare(package)
print([each.build.failure for each in build_task.build(package, recipe).builds])
"""
ACT = """
import sys, unittest.mock
from pathlib import Path
from evotune_workers.child import sandbox
from evotune_workers.cluster.node_worker import NodeWorker
def started(folder, device):
    print("torch imported" if "torch" in sys.modules else "not yet", flush=True)
    sys.exit()
with unittest.mock.patch.object(sandbox, "sandboxes_for", started):
    NodeWorker(False, Path(sys.argv[1]).read_bytes())
"""
TORCH_IS_THERE = "print('torch' in sys.modules)"


def said(script: str, *arguments: str | Path) -> list[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, check=True).stdout.splitlines()


def test_a_node_builds_without_importing_torch(tmp_path: Path) -> None:
    """Sixteen processes that import it side by side take seven seconds."""
    package, recipe = tmp_path / "package", tmp_path / "recipe"
    package.write_bytes(pickle.dumps(pack_kernel(SAXPY)))
    job = BuildJob(3, {"unroll": 8, "threads": 1, "fault": "none"}, "cpu", "cpu", ("small", "larger"))
    recipe.write_bytes(pickle.dumps(recipe_of(load_kernel(SAXPY), job)))
    assert said(BUILD + TORCH_IS_THERE, package, recipe) == ["[None, None]", "False"]


def test_a_child_is_started_before_its_worker_imports_torch(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.write_bytes(pickle.dumps(pack_kernel(SAXPY)))
    assert said(ACT, package) == ["not yet"]
