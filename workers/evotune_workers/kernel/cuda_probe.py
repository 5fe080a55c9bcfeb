"""Print this machine's CUDA devices as JSON lines, from a process of its own: the caller must stay free of CUDA.

Run as a file, by `device.local_devices`.
Exit code 0 without a line means that there is no GPU, or that cuda-core or nvidia-ml-py is not installed.
"""

from __future__ import annotations

import json
from typing import Any


def main() -> None:
    """Print a line for every device that CUDA lists."""
    try:
        import pynvml
        from cuda.core import Device

        devices = Device.get_all_devices()
    except (ImportError, RuntimeError):
        return
    if devices:
        pynvml.nvmlInit()
    for device in devices:
        print(json.dumps(_description(device, pynvml)))


def _description(device: Any, nvml: Any) -> dict[str, Any]:
    properties, uuid = device.properties, f"GPU-{device.uuid.removeprefix('GPU-')}"
    handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
    major, minor = device.compute_capability
    return {
        "uuid": uuid,
        "name": device.name,
        "capability": 10 * major + minor,
        "clock_hz": properties.clock_rate * 1000,
        "limits": {
            "multiprocessors": properties.multiprocessor_count,
            "shared_memory_per_block": properties.max_shared_memory_per_block_optin,
            "shared_memory_per_multiprocessor": properties.max_shared_memory_per_multiprocessor,
            "threads_per_block": properties.max_threads_per_block,
            "threads_per_multiprocessor": properties.max_threads_per_multiprocessor,
            "registers_per_multiprocessor": properties.max_registers_per_multiprocessor,
            "blocks_per_multiprocessor": properties.max_blocks_per_multiprocessor,
            "l2_bytes": properties.l2_cache_size,
        },
        "properties": {
            "driver": nvml.nvmlSystemGetDriverVersion(),
            "memory_bytes": int(nvml.nvmlDeviceGetMemoryInfo(handle).total),
            "memory_clock_hz": properties.memory_clock_rate * 1000,
            "memory_bus_bits": properties.global_memory_bus_width,
        },
    }


if __name__ == "__main__":
    main()
