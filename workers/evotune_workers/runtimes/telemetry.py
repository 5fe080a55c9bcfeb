"""State of a GPU while it is timed: clock, power and reasons for throttling, read through NVML."""

from __future__ import annotations

import functools

import pynvml
import torch

from evotune_workers.timing.stopwatch import POWER_CAP, Conditions

# Reasons for a lower clock than the work requests (NVML API reference, nvmlClocksEventReasons).
THROTTLING = {
    POWER_CAP: pynvml.nvmlClocksEventReasonSwPowerCap,
    "hardware slowdown": pynvml.nvmlClocksEventReasonHwSlowdown,
    "software thermal": pynvml.nvmlClocksEventReasonSwThermalSlowdown,
    "hardware thermal": pynvml.nvmlClocksEventReasonHwThermalSlowdown,
    "power brake": pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown,
}


class Telemetry:
    """One GPU, as NVML sees it; a reading takes about 40 us.

    A GPU at its power limit changes its clock every few milliseconds, so that the mean of a block's readings is used.
    """

    def __init__(self, device: torch.device) -> None:
        """Find the device by its UUID, since NVML numbers devices in another order.

        Raises pynvml.NVMLError when NVML does not list it.
        """
        self._handle = _handle(str(torch.cuda.get_device_properties(device).uuid))
        self._clocks: list[float] = []

    def begin(self) -> None:
        """Forget earlier readings."""
        self._clocks.clear()

    def read_clock(self) -> None:
        """Read the clock of the multiprocessors now."""
        self._clocks.append(float(pynvml.nvmlDeviceGetClockInfo(self._handle, pynvml.NVML_CLOCK_SM)))

    def conditions(self) -> Conditions:
        """Return the mean of the clocks read since `begin`, and power and throttling now."""
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
