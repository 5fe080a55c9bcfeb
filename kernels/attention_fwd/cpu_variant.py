"""The CPU variant: cpu.cpp and what follows from its configurations."""

from __future__ import annotations

from collections.abc import Mapping

from evotune_workers.kernel import Configuration, Value, Variant, Workload

from .stages import Scores, Softmax
from .workload import attention

TASK = ("cpu_task.h", "cpu_packing.h", "cpu_products.h", "cpu_softmax.h", "cpu_exponential.h", "cpu_stage_recorder.h")
FOUNDATION = ("cpu_workspace.h", "cpu_vectors.h", "cpu_parameters.h")
# cpu.cpp lays its workspace out in groups of 16 floats (64 bytes), whatever the machine's vectors.
GROUP = 16


class CpuVariant(Variant):
    """For any CPU; FP16 and FP32."""

    name = "cpu"
    sources = ("cpu.cpp", *TASK, *FOUNDATION)
    entry = "attention_fwd"
    stages = (Scores(), Softmax(shares=lambda configuration, workload: 1))

    def supports(self, workload: Workload) -> bool:
        """Every workload but those in BF16."""
        return workload.dtype in ("float16", "float32")

    def build_macros(self, workload: Workload) -> Mapping[str, Value]:
        """The head size and the element type; everything else is an argument."""
        shape = attention(workload)
        return {"HEAD_DIM": shape.head_dim, "ELEMENT_BITS": 8 * shape.torch_dtype.itemsize}

    def derived(self, configuration: Configuration, workload: Workload) -> Mapping[str, int]:
        """`shared_memory`: bytes that a thread works in during one tile of queries and keys; `threads`."""
        shape = attention(workload)
        tile_m, tile_n = int(configuration["tile_m"]), int(configuration["tile_n"])
        value_bytes = shape.torch_dtype.itemsize if configuration["value_packing"] == "direct" else 4
        query_and_output = 2 * tile_m * shape.head_dim * 4
        keys_and_values = tile_n * shape.head_dim * (4 + value_bytes)
        shared_memory = query_and_output + keys_and_values + 4 * _score_floats(configuration)
        return {"shared_memory": shared_memory, "threads": int(configuration["threads"])}

    def workspace_bytes(self, configuration: Configuration, workload: Workload) -> int:
        """What cpu.cpp's `attention_fwd_workspace_bytes` says of the same sizes."""
        shape = attention(workload)
        keys = _round_up(shape.keys, int(configuration["block_cols"])) * shape.head_dim
        values = shape.keys * shape.head_dim
        tile_m, tile_n = int(configuration["tile_m"]), int(configuration["tile_n"])
        of_rows = 2 * tile_m * (shape.head_dim + GROUP) + 2 * _round_up(tile_m + GROUP, GROUP)
        floats_of_thread = of_rows + _score_floats(configuration)
        floats_shared = 0
        for packing, floats in ((configuration["key_packing"], keys), (configuration["value_packing"], values)):
            floats_of_thread += {"tile": tile_n * shape.head_dim, "head": floats}.get(str(packing), 0)
            floats_shared += shape.batch_heads * floats if packing == "shared" else 0
        return 4 * (floats_shared + int(configuration["threads"]) * floats_of_thread + GROUP)

    def output_tile(self, configuration: Configuration) -> tuple[int, int]:
        """Queries of a task, and the features of a register block."""
        return int(configuration["tile_m"]), int(configuration["output_cols"])


def _score_floats(configuration: Configuration) -> int:
    """Scores that a thread holds at once: those of a register block's rows, or of a whole tile's."""
    rows = configuration["block_rows" if configuration["loop_order"] == "rows" else "tile_m"]
    return int(rows) * (int(configuration["tile_n"]) + GROUP)


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
