"""This machine's devices, each looked for when it is first needed."""

from __future__ import annotations

from functools import cached_property

from evotune.errors import UserError
from evotune_workers.kernel.device import Device, local_devices


class Machine:
    """Devices of this machine that a search can measure on, beside its CPU."""

    @cached_property
    def gpus(self) -> tuple[Device, ...]:
        """CUDA devices; none without cuda-core and nvidia-ml-py. Raises UserError for one that does not answer."""
        try:
            return local_devices()
        except RuntimeError as error:
            raise UserError(f"{error}; see `evotune doctor`, or pass --target cpu") from error

    @cached_property
    def torch_sees_gpus(self) -> bool:
        """True if the baselines can run on the GPUs."""
        import torch

        return torch.cuda.is_available()

    def gpu(self, target: str) -> Device | None:
        """Return the first GPU of a target, if there is one."""
        return next((gpu for gpu in self.gpus if gpu.target == target), None)
