"""The CPU variant: the files of cpu.cpp, and the quantities that follow from a configuration."""

from __future__ import annotations

from collections.abc import Mapping

from evotune_workers.kernel import Configuration, Value, Variant, Workload

from .stages import Scores, Softmax
from .workload import attention

TASK_HEADERS = (
    "cpu_task.h",
    "cpu_packing.h",
    "cpu_products.h",
    "cpu_softmax.h",
    "cpu_exponential.h",
    "cpu_stage_recorder.h",
)
BASE_HEADERS = ("cpu_workspace.h", "cpu_vectors.h", "cpu_parameters.h")
# cpu.cpp aligns the arrays of its workspace to 16 floats (64 bytes) on every machine.
ALIGNMENT = 16


class CpuVariant(Variant):
    """For any CPU; FP16 and FP32."""

    name = "cpu"
    sources = ("cpu.cpp", *TASK_HEADERS, *BASE_HEADERS)
    entry = "attention_fwd"
    stages = (Scores(), Softmax(key_groups=lambda configuration, workload: 1))

    def supports(self, workload: Workload) -> bool:
        """Return True for FP16 and FP32; BF16 is not supported."""
        return workload.dtype in ("float16", "float32")

    def build_macros(self, workload: Workload) -> Mapping[str, Value]:
        """Return the head size and the element type; everything else is an argument."""
        shape = attention(workload)
        return {"HEAD_DIM": shape.head_dim, "ELEMENT_BITS": 8 * shape.torch_dtype.itemsize}

    def derived(self, configuration: Configuration, workload: Workload) -> Mapping[str, int]:
        """Return `shared_memory`, the bytes that a thread uses during one tile of queries and keys, and `threads`."""
        shape = attention(workload)
        tile_m, tile_n = int(configuration["tile_m"]), int(configuration["tile_n"])
        value_bytes = shape.torch_dtype.itemsize if configuration["value_packing"] == "direct" else 4
        query_and_output = 2 * tile_m * shape.head_dim * 4
        keys_and_values = tile_n * shape.head_dim * (4 + value_bytes)
        shared_memory = query_and_output + keys_and_values + 4 * _score_floats(configuration)
        return {"shared_memory": shared_memory, "threads": int(configuration["threads"])}

    def workspace_bytes(self, configuration: Configuration, workload: Workload) -> int:
        """Return the result of `attention_fwd_workspace_bytes` in cpu.cpp for the same sizes."""
        shape = attention(workload)
        keys = _round_up(shape.keys, int(configuration["block_cols"])) * shape.head_dim
        values = shape.keys * shape.head_dim
        tile_m, tile_n = int(configuration["tile_m"]), int(configuration["tile_n"])
        row_floats = 2 * tile_m * (shape.head_dim + ALIGNMENT) + 2 * _round_up(tile_m + ALIGNMENT, ALIGNMENT)
        thread_floats = row_floats + _score_floats(configuration)
        shared_floats = 0
        for packing, floats in ((configuration["key_packing"], keys), (configuration["value_packing"], values)):
            thread_floats += {"tile": tile_n * shape.head_dim, "head": floats}.get(str(packing), 0)
            shared_floats += shape.batch_heads * floats if packing == "shared" else 0
        return 4 * (shared_floats + int(configuration["threads"]) * thread_floats + ALIGNMENT)

    def output_tile(self, configuration: Configuration) -> tuple[int, int]:
        """Return the queries of a task and the features of a register block."""
        return int(configuration["tile_m"]), int(configuration["output_cols"])


def _score_floats(configuration: Configuration) -> int:
    """Return how many scores a thread stores at once: for the rows of a register block, or of a whole tile."""
    rows = configuration["block_rows" if configuration["loop_order"] == "rows" else "tile_m"]
    return int(rows) * (int(configuration["tile_n"]) + ALIGNMENT)


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
