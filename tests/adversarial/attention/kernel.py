"""The attention kernel with sources that are wrong or cheat; the parameter `fault` chooses how.

Inputs, reference, baselines and structure are those of the real kernel, so the gates are real too. Workloads are small.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from evotune_workers.kernel import Configuration, Geometry, Value, Variant, Workload
from evotune_workers.kernel.folder import load_kernel

if TYPE_CHECKING:
    from kernels.attention_fwd.kernel import AttentionForward
    from kernels.attention_fwd.workload import MISSION, attention
else:
    AttentionForward = type(load_kernel(Path(__file__).parents[3] / "kernels" / "attention_fwd"))
    MISSION, attention = (vars(sys.modules[AttentionForward.__module__])[name] for name in ("MISSION", "attention"))

CPU_HEADERS = ("attend.h", "misbehave.h", "keep.h", "elsewhere.h", "timed.h")
CUDA_HEADERS = ("state.cuh", "misbehave.cuh", "elsewhere.cuh")
# More memory than any machine has.
PETABYTE = 1 << 50
# More shared memory than any device allows a CTA.
MEBIBYTE = 1 << 20
PERSISTENT_CTAS = 4


class AdversarialCpu(Variant):
    """Simple C++; parameters `fault`, `tile_m`, `tile_n`."""

    name = "cpu"
    sources: ClassVar[tuple[str, ...]] = (
        "cpu.cpp",
        "attend.h",
        "misbehave.h",
        "keep.h",
        "elsewhere.h",
        "record.h",
        "faults.h",
    )
    entry = "attention_fwd"

    def build_macros(self, workload: Workload) -> Mapping[str, Value]:
        """Return the head size."""
        return {"HEAD_DIM": attention(workload).head_dim}

    def derived(self, configuration: Configuration, workload: Workload) -> Mapping[str, int]:
        """Return nothing, because no constraint needs a derived quantity."""
        return {}

    def workspace_bytes(self, configuration: Configuration, workload: Workload) -> int:
        """Return 0, or with one fault more memory than there is."""
        return PETABYTE if configuration["fault"] == "workspace_of_a_petabyte" else 0


class AdversarialCuda(AdversarialCpu):
    """CUDA with a thread for each query and a CTA for `tile_m` of them; the same parameters."""

    name = "sm80"
    sources = ("sm80.cu", *CUDA_HEADERS, "record.h", "faults.h")

    def geometry(self, configuration: Configuration, workload: Workload, resident_blocks: int) -> Geometry:
        """Return a launch with a CTA for each task, or with a few persistent CTAs."""
        shape, fault, threads = attention(workload), configuration["fault"], int(configuration["tile_m"])
        tasks = shape.batch_heads * -(-shape.queries // threads)
        ctas = PERSISTENT_CTAS if fault == "last_worker_skips_its_tail" else tasks
        return Geometry((ctas, 1, 1), threads, MEBIBYTE if fault == "shared_memory_over_the_limit" else 0)


class AdversarialAttention(AttentionForward):
    """Attention at sizes that a simple kernel computes in a few milliseconds."""

    name = "adversarial_attention"
    variants = (AdversarialCpu(), AdversarialCuda())  # type: ignore[assignment]  # others than the real kernel's
    workloads = (
        # Every tile divides it, so that errors at tails occur at tails only.
        replace(MISSION, name="small", batch=2, heads=2, queries=128, keys=128),
        # Enough operations to make the roofline's limit longer than a call through Python.
        replace(MISSION, name="medium", heads=2, queries=384, keys=384),
        *AttentionForward.workloads,
    )
