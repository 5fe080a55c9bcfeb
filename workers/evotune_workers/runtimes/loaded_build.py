"""One loaded build at one workload, inside the child, for gates and timing to launch."""

from __future__ import annotations

import torch

from evotune_workers.kernel.contract import Geometry, Inputs, Kernel, StructureCase, Workload
from evotune_workers.kernel.folder import named_workload
from evotune_workers.kernel.output_errors import Errors
from evotune_workers.runtimes.buffer_sets import BufferSets
from evotune_workers.runtimes.build_spec import BuildSpec
from evotune_workers.runtimes.references import Reference, ReferenceSource
from evotune_workers.runtimes.runtime import LaunchError, Runtime

# A workspace's content is arbitrary at every call. With all bits set, it is NaN in every float format.
WORKSPACE_FILL = 0xFF
# A multiple of the alignment that allocators give.
MARGIN_BYTES = 4096


class LoadedBuild:
    """A build with everything needed to launch it on the kernel's own inputs; tensors lie on the runtime's device."""

    def __init__(self, kernel: Kernel, runtime: Runtime, references: ReferenceSource, spec: BuildSpec) -> None:
        """Load the build; raise LoadError when that fails."""
        self.runtime = runtime
        self.kernel = kernel
        self.configuration = spec.configuration
        self.workload = named_workload(kernel, spec.workload)
        self.distributions = kernel.distributions
        self.seeds = spec.seeds
        self.tails = kernel.tails(self.workload, spec.configuration)
        self.variant = kernel.variant(spec.variant)
        self.program = runtime.load(spec.library, self.variant.entry)
        self._geometries: dict[Workload, Geometry | None] = {}
        self._references = references

    def reference(self, workload: Workload, distribution: str, seed: int) -> Reference:
        """Return inputs with their float64 reference and the pinned baseline's errors."""
        return self._references.reference(workload, distribution, seed)

    def reference_of(self, inputs: Inputs) -> Reference:
        """Return the same for other inputs of this workload, which must be on the device."""
        return self._references.reference_of(self.workload, inputs)

    def time_baseline(self, inputs: Inputs) -> float:
        """Return the microseconds of one call of the pinned baseline at this workload, timed now."""
        return self._references.time_baseline(self.workload, inputs)

    def structure_cases(self) -> tuple[StructureCase, ...]:
        """Return the kernel's structure cases for this workload."""
        return self._references.structure(self.workload)

    def structure_case(self, workload: Workload, name: str) -> StructureCase:
        """Return the kernel's structure case of that name, for that workload."""
        return next(case for case in self._references.structure(workload) if case.name == name)

    def buffer_sets(self, distribution: str, seeds: tuple[int, ...], least_bytes: int) -> BufferSets:
        """Return copies of the inputs of these seeds in turn, together that large as far as memory allows."""
        return self._references.buffer_sets(self.workload, distribution, seeds, least_bytes)

    def new_workspace(self, workload: Workload) -> torch.Tensor:
        """Return a new workspace, in bytes, filled with NaN patterns; raise MemoryError when it is too large."""
        size = self.variant.workspace_bytes(self.configuration, workload)
        try:
            return torch.full((size,), WORKSPACE_FILL, dtype=torch.uint8, device=self.runtime.device)
        except RuntimeError as error:
            raise MemoryError(f"a workspace of {size} bytes cannot be had") from error

    def new_output(self, workload: Workload) -> torch.Tensor:
        """Return an output that holds NaN everywhere."""
        return torch.full_like(self.kernel.empty_output(workload), float("nan"), device=self.runtime.device)

    def inputs(self, workload: Workload, distribution: str, seed: int) -> Inputs:
        """Return the kernel's inputs, on the device."""
        return tuple(tensor.to(self.runtime.device) for tensor in self.kernel.inputs(workload, distribution, seed))

    def launch(self, workload: Workload, inputs: Inputs) -> torch.Tensor:
        """Launch once and return the output, which held NaN everywhere before."""
        output = self.new_output(workload)
        self.launch_into(workload, inputs, output, self.new_workspace(workload))
        return output

    def launch_into(self, workload: Workload, inputs: Inputs, output: torch.Tensor, workspace: torch.Tensor) -> None:
        """Launch once into the caller's memory; raise LaunchError on a status other than success."""
        self.program.launch(self.kernel.arguments(workload, inputs, output, workspace), self.geometry(workload))

    def geometry(self, workload: Workload) -> Geometry | None:
        """Return the launch geometry at a workload; raise LaunchError when a multiprocessor cannot hold a block."""
        if workload not in self._geometries:
            geometry = self.variant.geometry(self.configuration, workload, resident_blocks=1)
            if geometry is not None:
                resident = self.program.resident_blocks(geometry)
                geometry = self.variant.geometry(self.configuration, workload, resident)
            self._geometries[workload] = geometry
        return self._geometries[workload]

    def prepare(self) -> float:
        """Make the references of the first launch; return the microseconds of a call of the baseline."""
        return self.reference(self.workload, self.distributions[0], self.seeds[0]).baseline_us

    def try_launch(self, inputs: Inputs) -> str:
        """Launch at the workload on copies; return "success" or the error.

        The copies have margins, so that a small step past an end is left to the `memory` gate and does no harm here.
        """
        copies, output = tuple(_with_margins(tensor) for tensor in inputs), self.new_output(self.workload)
        try:
            self.launch_into(self.workload, copies, _with_margins(output), self.new_workspace(self.workload))
            self.runtime.synchronise()
        except LaunchError as error:
            return str(error)
        return "success"

    def errors(self, workload: Workload, distribution: str, seed: int) -> Errors:
        """Return the errors of one launch beside the pinned baseline's, per group."""
        reference = self.reference(workload, distribution, seed)
        return reference.errors_of(self.launch(workload, reference.inputs))

    def close(self) -> None:
        """Unload the build."""
        self.program.close()


def _with_margins(tensor: torch.Tensor) -> torch.Tensor:
    size = tensor.numel() * tensor.element_size()
    room = torch.empty(size + 2 * MARGIN_BYTES, dtype=torch.uint8, device=tensor.device)
    return room[MARGIN_BYTES : MARGIN_BYTES + size].view(tensor.dtype).view(tensor.shape).copy_(tensor)
