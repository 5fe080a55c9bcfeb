"""The body of a build task, which runs on any node of a cluster.

A node may lack a package or a compiler. So this module imports only what every node with Ray has, jobs come pickled,
and a node that lacks something answers UnusableNode and raises nothing: the cluster then asks another.
"""

from __future__ import annotations

import contextlib
import importlib
import pickle
from typing import TYPE_CHECKING

from evotune_workers.cluster.unusable_node import UnusableNode, this_node_lacks

if TYPE_CHECKING:
    from evotune_workers.compilers.candidate import Candidate, StageBuild


def prepare(package: bytes) -> None:
    """Import and unpack ahead of time for the first build of this process; `build` tells what a node lacks."""
    with contextlib.suppress(ImportError):
        importlib.import_module("evotune_workers.compilers.builder")
        from evotune_workers.cluster.unpack import unpack_kernel

        unpack_kernel(pickle.loads(package))


def build(package: bytes, recipe: bytes) -> Candidate | tuple[StageBuild, ...] | UnusableNode:
    """Compile a pickled Recipe, or StageRecipe, of a pickled KernelPackage."""
    try:
        return _build(package, recipe)
    except ImportError as error:
        return this_node_lacks(error)


def _build(package: bytes, recipe: bytes) -> Candidate | tuple[StageBuild, ...] | UnusableNode:
    """Compile while no CPU on this machine is measured; a GPU's measurement is not disturbed by a compiler."""
    from evotune_workers.cluster.unpack import unpack_kernel
    from evotune_workers.compilers.build import ToolchainError
    from evotune_workers.compilers.builder import Recipe, StageRecipe, make, make_stages
    from evotune_workers.kernel.targets import CPU
    from evotune_workers.system.machine_lock import building

    wanted: Recipe | StageRecipe = pickle.loads(recipe)
    with building() if wanted.target == CPU else contextlib.nullcontext():
        try:
            folder = unpack_kernel(pickle.loads(package))
            return make_stages(folder, wanted) if isinstance(wanted, StageRecipe) else make(folder, wanted)
        except ToolchainError as error:
            return this_node_lacks(error)
