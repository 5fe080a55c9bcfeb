"""Devices: the limits that constraints and gates use, and the properties that are stored with each timing."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Floating-point operations per cycle and core by instruction set: two fused multiply-adds (2 operations each) over the
# widest vectors of 32-bit values; 16-bit dot products double that, AMX does 1024 multiply-adds a cycle (Intel's
# optimisation manual).
OPERATIONS_PER_CYCLE = (
    ("amx_tile", 2048),
    ("avx512_fp16", 128),
    ("avx512_bf16", 128),
    ("avx512f", 64),
    ("avx2", 32),
    ("asimd", 32),
)
# Dense FP16 operations per cycle and multiprocessor with FP32 accumulation, by compute capability. They are the
# data-sheet rate over multiprocessors and boost clock (A100 312e12, A10 125e12, L4 121e12, H100 SXM 989e12).
# Unknown capabilities get the largest.
TENSOR_OPERATIONS_PER_CYCLE = {80: 2048, 86: 1024, 87: 1024, 89: 1024, 90: 4096}
MOST_TENSOR_OPERATIONS = 16384
# Run as a file, since it imports nothing of ours. `-P` keeps this folder off its import path.
CUDA_PROBE = Path(__file__).with_name("cuda_probe.py")
PROBE_LIMIT_SECONDS = 60
# Above the clock of any CPU sold. It stands in where a virtual machine hides its clock, so that the floor is too low
# rather than too high.
HIGHEST_CLOCK_HZ = 6.2e9


@dataclass(frozen=True)
class Device:
    """A device that measures. Constraints see `limits` as `device.*`; `properties` are stored with its timings.

    `peak_flops` (per second) is an upper bound. It gives the roofline floor, below which no timing can be true.
    """

    uuid: str
    name: str
    kind: str
    target: str
    limits: Mapping[str, int]
    properties: Mapping[str, str | int | float]
    peak_flops: float
    cache_bytes: int


def cpu_device() -> Device:
    """Return this machine's CPU as a device, with the cores that this process may run on."""
    flags = _cpu_flags()
    cores = len(os.sched_getaffinity(0))
    vector_bytes = 64 if "avx512f" in flags else 32 if "avx2" in flags else 16
    caches = {level: _cache_bytes(level) for level in (1, 2, 3)}
    name = _cpu_name()
    return Device(
        uuid=_machine_id(name),
        name=name,
        kind="cpu",
        target="cpu",
        limits={
            "cores": cores,
            "vector_bytes": vector_bytes,
            "vector_registers": 32 if vector_bytes == 64 or "asimd" in flags else 16,
            "l1_bytes": caches[1],
            "l2_bytes": caches[2],
            "l3_bytes": caches[3],
        },
        properties={
            "machine": platform.machine(),
            "system": platform.platform(),
            "cores": cores,
            "flags": " ".join(flags),
        },
        peak_flops=cores * _operations_per_cycle(flags) * _highest_clock_hz(),
        cache_bytes=max(caches.values()),
    )


def local_devices() -> tuple[Device, ...]:
    """Return this machine's CUDA devices that CUDA_VISIBLE_DEVICES allows; none without cuda-core and nvidia-ml-py.

    Another process does the probing, so that this one stays free of CUDA. Raises RuntimeError if the probe fails.
    """
    ran = subprocess.run(
        [sys.executable, "-P", str(CUDA_PROBE)], capture_output=True, text=True, timeout=PROBE_LIMIT_SECONDS
    )
    if ran.returncode != 0:
        raise RuntimeError(
            f"the machine's GPUs must answer, got: {(ran.stderr.strip().splitlines() or ['nothing'])[-1]}"
        )
    return tuple(_cuda_device(json.loads(line)) for line in ran.stdout.splitlines() if line.startswith("{"))


def _cuda_device(description: Mapping[str, Any]) -> Device:
    limits, capability = description["limits"], description["capability"]
    operations = limits["multiprocessors"] * TENSOR_OPERATIONS_PER_CYCLE.get(capability, MOST_TENSOR_OPERATIONS)
    return Device(
        uuid=description["uuid"],
        name=description["name"],
        kind="cuda",
        target=f"sm_{capability}",
        limits=limits,
        properties=description["properties"],
        peak_flops=operations * description["clock_hz"],
        cache_bytes=limits["l2_bytes"],
    )


def _cpu_flags() -> list[str]:
    match = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", _cpuinfo(), re.MULTILINE)
    return sorted(match.group(1).split()) if match else []


def _cpu_name() -> str:
    match = re.search(r"^model name\s*:\s*(.*)$", _cpuinfo(), re.MULTILINE)
    return match.group(1).strip() if match else platform.processor() or platform.machine()


def _cpuinfo() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text() if path.exists() else ""


def _machine_id(name: str) -> str:
    path = Path("/etc/machine-id")
    identity = path.read_text().strip() if path.exists() else platform.node()
    return "CPU-" + hashlib.sha256(f"{identity}\0{name}".encode()).hexdigest()[:32]


def _cache_bytes(level: int) -> int:
    """Return the size of a data cache of core 0.

    Common sizes stand in where the system hides them: 32 KiB, 1 MiB and 32 MiB for levels 1 to 3.
    """
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        if (index / "type").read_text().strip() == "Instruction" or int((index / "level").read_text()) != level:
            continue
        size = (index / "size").read_text().strip()
        return int(size.rstrip("KMG")) * {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(size[-1], 1)
    return {1: 32 << 10, 2: 1 << 20, 3: 32 << 20}[level]


def _operations_per_cycle(flags: list[str]) -> int:
    return next((operations for flag, operations in OPERATIONS_PER_CYCLE if flag in flags), 16)


def _highest_clock_hz() -> float:
    path = Path("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq")
    return float(path.read_text()) * 1e3 if path.exists() else HIGHEST_CLOCK_HZ
