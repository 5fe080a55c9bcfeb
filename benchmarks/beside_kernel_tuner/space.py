"""The search space of the attention kernel's variant sm80 as Kernel Tuner takes one.

Kernel Tuner wants lists of values and restrictions. Its solver makes of a restriction given as text a constraint on the
parameters that it names, and drops what is begun badly; a Python function it would call for complete configurations
only. So limits of the device and derived quantities are written out here.

How many threads a block has, Kernel Tuner takes from a parameter alone: `block_size_x` stands for `compute_warps`,
which are what the prefetch warps leave of it. With both, no change of one of them alone would give a valid neighbour.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evotune.space import Space
from evotune_workers.kernel import Configuration, Value, Workload

WARP = 32
# 0 where every warp would prefetch, which the last restriction refuses; until then nothing may divide by it.
COMPUTE_WARPS = "max(1, block_size_x // 32 - prefetch_warps)"


@dataclass(frozen=True)
class TunerSpace:
    """`parameters`: names and values; `restrictions`: Python expressions that a configuration must all satisfy."""

    parameters: Mapping[str, list[Value]]
    restrictions: tuple[str, ...]


def tuner_space(space: Space, workload: Workload, limits: Mapping[str, int]) -> TunerSpace:
    """The same set of configurations on a device of these limits."""
    values = {parameter.name: list(parameter.values) for parameter in space.parameters}
    written = _WrittenOut(limits, {**_derived(workload), "compute_warps": COMPUTE_WARPS})
    restrictions = [written.text(constraint.expression.text) for constraint in space.constraints]
    warps = tuple(values["compute_warps"])
    threads = _threads(warps, values["prefetch_warps"])
    return TunerSpace(
        {_tuner_name(name): threads if name == "compute_warps" else values[name] for name in values},
        (*restrictions, f"block_size_x // {WARP} - prefetch_warps in {warps}"),
    )


def to_tuner(configuration: Configuration) -> dict[str, Value]:
    """A configuration of evotune's as Kernel Tuner has it."""
    warps = int(configuration["compute_warps"]) + int(configuration["prefetch_warps"])
    return {**_renamed(configuration, "compute_warps"), "block_size_x": WARP * warps}


def from_tuner(parameters: Mapping[str, Any]) -> dict[str, Value]:
    """The reverse; takes nothing but parameters."""
    warps = int(parameters["block_size_x"]) // WARP - int(parameters["prefetch_warps"])
    return {**_renamed(parameters, "block_size_x"), "compute_warps": warps}


def _renamed(parameters: Mapping[str, Value], without: str) -> dict[str, Value]:
    return {name: value for name, value in parameters.items() if name != without}


def _tuner_name(name: str) -> str:
    return "block_size_x" if name == "compute_warps" else name


def _threads(compute: Sequence[Value], prefetch: Sequence[Value]) -> list[Value]:
    return sorted({WARP * (int(warps) + int(others)) for warps in compute for others in prefetch})


def _derived(workload: Any) -> dict[str, str]:
    """What geometry.py computes, as text.

    The solver's parser splits a text without ` and ` or ` or ` at each < and >, so no condition here has any.
    """
    row = f"({2 * workload.head_dim} + 16 * (shared_layout == 'padding'))"
    self_loading = "q_in_registers and not prefetch_warps"
    cluster = "split_kv != 1 and split_merge == 'cluster'"
    statistics = 4 * (workload.head_dim + 2)
    merge = f"(0 if kv_warps == 1 and not ({cluster}) else kv_warps * tile_m * {statistics})"
    beside_queries = f"((2 * stages - 1) * tile_n + max(tile_n, tile_m)) * {row}"
    copies = f"({beside_queries} if {self_loading} else 2 * stages * tile_n * {row})"
    queries = f"(0 if {self_loading} else tile_m * {row})"
    apart = "merge_memory == 'apart' or (persistent and prefetch_warps)"
    tiles = f"({copies} + {merge} if {apart} else max({copies}, {merge}))"
    barriers = "(32 * stages if prefetch_warps else 0)"
    flag = "(16 if split_kv != 1 and split_merge == 'workspace' else 0)"
    fragments = f"max(1, tile_m // (16 * max(1, {COMPUTE_WARPS} // kv_warps)))"
    output, share = workload.head_dim // 2, workload.head_dim // 4
    scores = "step_n // 2 * (1 + overlap_scores)"
    return {
        "threads": "block_size_x",
        "shared_memory": f"{queries} + {tiles} + {barriers} + {flag}",
        "registers": f"{fragments} * ({output} + {scores} + {share} * q_in_registers) + 40",
        "blocks": f"{workload.batch_heads} * -(-{workload.queries} // tile_m) * split_kv",
    }


class _WrittenOut(ast.NodeTransformer):
    """Puts numbers and expressions in the place of `device.*` and of names."""

    def __init__(self, limits: Mapping[str, int], names: Mapping[str, str]) -> None:
        self._limits = limits
        self._names = {name: ast.parse(text, mode="eval").body for name, text in names.items()}

    def text(self, constraint: str) -> str:
        return ast.unparse(self.visit(ast.parse(constraint, mode="eval")))

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        return ast.Constant(self._limits[node.attr])

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._names.get(node.id, node)
