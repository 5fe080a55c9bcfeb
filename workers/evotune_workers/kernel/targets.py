"""Targets, and for each CUDA target a well-known GPU, whose limits are used where the machine has none.

Limits of a block and of a multiprocessor belong to the compute capability (CUDA C++ Programming Guide, "Compute
Capabilities", table of technical specifications); the rest is the product's (NVIDIA's data sheets; L2 of the H200 as
its driver reports it). Tensor rates are FP16 with FP32 accumulation, dense, at boost clock.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from evotune_workers.kernel.device import Device

CPU = "cpu"
KIB, MIB = 1 << 10, 1 << 20
# The same for every compute capability from 8.0 to 9.0.
THREADS_PER_BLOCK = 1024
REGISTERS_PER_MULTIPROCESSOR = 64 << 10


@dataclass(frozen=True)
class _Gpu:
    """Shared memory and L2 in bytes; rates per second."""

    name: str
    multiprocessors: int
    shared_memory_per_block: int
    shared_memory_per_multiprocessor: int
    threads_per_multiprocessor: int
    blocks_per_multiprocessor: int
    l2_bytes: int
    tensor_flops: float
    memory_bytes_per_second: float


_GPUS = {
    "sm_80": _Gpu("NVIDIA A100 SXM4 80GB", 108, 163 * KIB, 164 * KIB, 2048, 32, 40 * MIB, 312e12, 2039e9),
    # Clouds rent out this GPU of compute capability 8.6; an RTX A6000 has 84 multiprocessors.
    "sm_86": _Gpu("NVIDIA A10", 72, 99 * KIB, 100 * KIB, 1536, 16, 6 * MIB, 125e12, 600e9),
    "sm_89": _Gpu("NVIDIA L4", 58, 99 * KIB, 100 * KIB, 1536, 24, 48 * MIB, 121e12, 300e9),
    "sm_90": _Gpu("NVIDIA H200", 132, 227 * KIB, 228 * KIB, 2048, 32, 60 * MIB, 989e12, 4800e9),
}
KNOWN_TARGETS = (CPU, *_GPUS)
# Ray's names for the GPUs of a target, after their product names; the first is that of the well-known GPU.
_ACCELERATORS = {
    "sm_75": ("T4",),
    "sm_80": ("A100", "A100-40G", "A100-80G", "A30"),
    "sm_86": ("A10", "A10G", "A40"),
    "sm_89": ("L4", "L40S", "L40"),
    "sm_90": ("H200", "H100", "H20"),
    "sm_100": ("B200", "GB200"),
}


def known_device(target: str) -> Device:
    """Return the well-known GPU of a CUDA target; the ValueError for any other target lists those that have one."""
    if target not in _GPUS:
        raise ValueError(f"a device is known for {', '.join(_GPUS)}, got {target}: use a machine that has one")
    gpu = _GPUS[target]
    return Device(
        uuid=f"known-{target}",
        name=gpu.name,
        kind="cuda",
        target=target,
        limits={
            "multiprocessors": gpu.multiprocessors,
            "shared_memory_per_block": gpu.shared_memory_per_block,
            "shared_memory_per_multiprocessor": gpu.shared_memory_per_multiprocessor,
            "threads_per_block": THREADS_PER_BLOCK,
            "threads_per_multiprocessor": gpu.threads_per_multiprocessor,
            "registers_per_multiprocessor": REGISTERS_PER_MULTIPROCESSOR,
            "blocks_per_multiprocessor": gpu.blocks_per_multiprocessor,
            "l2_bytes": gpu.l2_bytes,
        },
        properties={"memory_bytes_per_second": gpu.memory_bytes_per_second},
        peak_flops=gpu.tensor_flops,
        cache_bytes=gpu.l2_bytes,
    )


def accelerator_types(target: str) -> tuple[str, ...]:
    """Return Ray's names for the GPUs of a target, none for an unknown target."""
    return _ACCELERATORS.get(target, ())


def known_accelerator(kind: str) -> bool:
    """Return True if a target is known for GPUs that Ray calls by this name."""
    return any(kind in kinds for kinds in _ACCELERATORS.values())


def capability(target: str) -> int | None:
    """Return 89 for "sm_89" and 90 for "sm_90a", None for a target that is not a CUDA one."""
    match = re.fullmatch(r"sm_(\d{2,3})[af]?", target)
    return int(match.group(1)) if match else None
