"""What a GPU was doing: clock, power and reasons for throttling, read through NVML."""

from __future__ import annotations

import functools

import pynvml
import torch

from evotune_workers.timing.stopwatch import POWER_CAP, Conditions

# Reasons that mean the clock is lower than the work asked for (NVML API reference, nvmlClocksEventReasons).
THROTTLING = {
    POWER_CAP: pynvml.nvmlClocksEventReasonSwPowerCap,
    "hardware slowdown": pynvml.nvmlClocksEventReasonHwSlowdown,
    "software thermal": pynvml.nvmlClocksEventReasonSwThermalSlowdown,
    "hardware thermal": pynvml.nvmlClocksEventReasonHwThermalSlowdown,
    "power brake": pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown,
}


class Telemetry:
    """One GPU, as NVML sees it; a reading takes about 40 us.

    A GPU at its power limit has another clock every few milliseconds: the mean of a block's readings says more about
    it than one of them.
    """

    def __init__(self, device: torch.device) -> None:
        """Finds the device by its UUID, since NVML does not count as CUDA does; raises pynvml.NVMLError without it."""
        self._handle = _handle(str(torch.cuda.get_device_properties(device).uuid))
        self._clocks: list[float] = []

    def begin(self) -> None:
        """Forgets what was read before."""
        self._clocks.clear()

    def read_clock(self) -> None:
        """Now."""
        self._clocks.append(float(pynvml.nvmlDeviceGetClockInfo(self._handle, pynvml.NVML_CLOCK_SM)))

    def conditions(self) -> Conditions:
        """The mean of the clocks read since `begin`; power and throttling now."""
        reasons = pynvml.nvmlDeviceGetCurrentClocksEventReasons(self._handle)
        return Conditions(
            clock_mhz=sum(self._clocks) / len(self._clocks),
            power_w=pynvml.nvmlDeviceGetPowerUsage(self._handle) / 1e3,
            throttled=tuple(name for name, bit in THROTTLING.items() if reasons & bit),
        )


@functools.cache
def _handle(uuid: str) -> object:
    pynvml.nvmlInit()
    return pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid.removeprefix('GPU-')}")
