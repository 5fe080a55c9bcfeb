"""Probes of everything that CUDA targets need; each returns a description of what it found."""

from __future__ import annotations

import importlib
import importlib.util
from importlib.metadata import version

from evotune.doctor.probes import Missing, on_path, output
from evotune_workers.compilers import cuda_toolkit
from evotune_workers.compilers.build import ToolchainError
from evotune_workers.kernel.device import local_devices
from evotune_workers.kernel.targets import capability

# Kernels use asynchronous copies, which came with Ampere.
LEAST_CAPABILITY = 80


def nvcc() -> str:
    """Compile an empty kernel, since nvcc fails without a host compiler or for a GPU that it does not know."""
    try:
        toolkit = cuda_toolkit.find_nvcc()
        cuda_toolkit.check_toolkit(toolkit, f"sm_{LEAST_CAPABILITY}")
        return f"{cuda_toolkit.toolkit_version(toolkit)}, from {toolkit.found}"
    except ToolchainError as error:
        raise Missing(str(error).removesuffix(f": {cuda_toolkit.REMEDY}")) from error


def gpu() -> str:
    """Find the GPUs that a search would use; report those of nvidia-smi if packages to use them are missing."""
    try:
        devices = local_devices()
    except RuntimeError as error:
        raise Missing(str(error)) from error
    if not devices:
        return _gpus_of_nvidia_smi()
    found = "; ".join(f"{device.name} ({device.target}), driver {device.properties['driver']}" for device in devices)
    if all((capability(device.target) or 0) < LEAST_CAPABILITY for device in devices):
        raise Missing(f"too old: {found}")
    return found


def torch_cuda() -> str:
    """Find a PyTorch that can run baselines on a GPU."""
    try:
        import torch
    except (ImportError, OSError) as error:
        raise Missing(f"torch cannot be imported: {error}") from error
    if not torch.cuda.is_available():
        raise Missing(f"torch {version('torch')} sees no GPU (built for CUDA {torch.version.cuda or 'none'})")
    return f"torch {version('torch')} for CUDA {torch.version.cuda}"


def cuda_core() -> str:
    """Find the package that loads and launches cubins."""
    return _importable("cuda.core", "cuda-core")


def nvml() -> str:
    """Find the package that reads clocks and the reasons of throttling."""
    return _importable("pynvml", "nvidia-ml-py")


def _gpus_of_nvidia_smi() -> str:
    lines = output(on_path("nvidia-smi"), "--query-gpu=name,compute_cap,driver_version", "--format=csv,noheader")
    if not lines.strip():
        raise Missing("nvidia-smi lists none")
    if importlib.util.find_spec("cuda") and importlib.util.find_spec("pynvml"):
        raise Missing("nvidia-smi lists some and CUDA shows none of them: is CUDA_VISIBLE_DEVICES set?")
    return "; ".join(lines.splitlines())


def _importable(module: str, package: str) -> str:
    """Return the version of a package whose module can be imported."""
    try:
        importlib.import_module(module)
        return version(package)
    except (ImportError, OSError, RuntimeError) as error:
        raise Missing(f"cannot be imported: {error}") from error
