"""The program that NVIDIA's tools observe: it launches one build on a kernel's inputs, and nothing else on the device.

Run as `python -m evotune_workers.certify.target JOB` with a pickled TargetJob. Inputs are copied from the host, output
and workspace start uninitialised, every launch gets its own buffers. So every finding is about the build. It prints
the number of launches, and the number of outputs that differ from the first on the same inputs.
"""

from __future__ import annotations

import hashlib
import pickle
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cuda.bindings import driver
from cuda.core import Device

from evotune_workers.certify.sanitizer import launch_note
from evotune_workers.certify.target_job import TargetJob
from evotune_workers.kernel.contract import Configuration, Kernel, Variant, Workload
from evotune_workers.kernel.folder import load_kernel, named_workload
from evotune_workers.runtimes.cuda import CudaProgram
from evotune_workers.runtimes.guarded_cuda import checked
from evotune_workers.runtimes.runtime import Argument


def main() -> None:
    """Launch, compare and report; an error of the driver ends the program with a traceback."""
    job: TargetJob = pickle.loads(Path(sys.argv[1]).read_bytes())
    kernel = load_kernel(job.kernel_folder)
    variant, workload = kernel.variant(job.variant), named_workload(kernel, job.workload)
    device = Device(0)
    device.set_current()
    stream = device.create_stream()
    program = CudaProgram(job.cubin.read_bytes(), variant.entry, device, lambda: int(stream.handle))
    launcher = Launcher(kernel, variant, program, job.configuration)
    outputs = [launcher.launch(workload, job.seeds[number % len(job.seeds)]) for number in range(job.launches)]
    small = kernel.tails(workload, job.configuration) if job.tails else ()
    for tail in small:
        launcher.launch(tail, job.seeds[0])
    different = sum(output != outputs[number % len(job.seeds)] for number, output in enumerate(outputs))
    print(f"evotune different {different} of {len(outputs)}")
    print(launch_note(variant.entry, len(outputs) + len(small)))


class Launcher:
    """Launches a program on inputs copied from the host."""

    def __init__(self, kernel: Kernel, variant: Variant, program: CudaProgram, configuration: Configuration) -> None:
        """Take the program of one configuration of a variant."""
        self._kernel, self._variant, self._program = kernel, variant, program
        self._configuration = configuration

    def launch(self, workload: Workload, seed: int) -> str:
        """Launch once, in buffers of its own; return a digest of the output's bits."""
        kernel, variant, configuration = self._kernel, self._variant, self._configuration
        inputs = kernel.inputs(workload, kernel.distributions[0], seed)
        output = kernel.empty_output(workload)
        workspace = torch.empty(variant.workspace_bytes(configuration, workload), dtype=torch.uint8)
        first = variant.geometry(configuration, workload, resident_blocks=1)
        assert first is not None, "only CUDA variants are certified"
        geometry = variant.geometry(configuration, workload, self._program.resident_blocks(first))
        copies = {id(tensor): _allocate(tensor) for tensor in (*inputs, output, workspace)}
        for tensor in inputs:
            checked(driver.cuMemcpyHtoD(copies[id(tensor)], tensor.data_ptr(), _size(tensor)))
        arguments = kernel.arguments(workload, inputs, output, workspace)
        self._program.launch(_on_device(arguments, copies), geometry)
        checked(driver.cuCtxSynchronize())
        checked(driver.cuMemcpyDtoH(output.data_ptr(), copies[id(output)], _size(output)))
        for pointer in copies.values():
            checked(driver.cuMemFree(pointer))
        return hashlib.sha256(output.view(torch.uint8).numpy().tobytes()).hexdigest()


def _allocate(tensor: torch.Tensor) -> Any:
    return checked(driver.cuMemAlloc(max(1, _size(tensor))))


def _size(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _on_device(arguments: Sequence[Argument], copies: dict[int, Any]) -> list[np.generic]:
    """Replace tensors by the addresses of their copies; scalars stay."""
    return [
        np.uint64(int(copies[id(argument)])) if isinstance(argument, torch.Tensor) else argument
        for argument in arguments
    ]


if __name__ == "__main__":
    main()
