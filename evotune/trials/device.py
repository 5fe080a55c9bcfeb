"""The device of this machine that can repeat what another run measured."""

from __future__ import annotations

from evotune.errors import UserError
from evotune_db.records import LeaderboardEntry
from evotune_workers.kernel.device import Device, cpu_device, local_devices


def device_of_target(target: str, done: str) -> Device:
    """Return this machine's first device; UserError if its target is another. `done` names the work, for the error."""
    devices = _devices(target)
    if devices and devices[0].target == target:
        return devices[0]
    has = f"{devices[0].name} ({devices[0].target})" if devices else "no GPU"
    raise UserError(
        f"a trial must be {done} on a device of its target ({target}), this machine has {has}: run it there"
    )


def device_that_measured(entry: LeaderboardEntry, done: str) -> Device:
    """Return this machine's first device; UserError when it is not of the model that measured the entry.

    `done` names the work, for the error.
    """
    devices = _devices(entry.target)
    if devices and devices[0].name == entry.device:
        return devices[0]
    has = devices[0].name if devices else "no GPU"
    raise UserError(
        f"a trial must be {done} on the kind of device that measured it ({entry.device}), this machine has {has}:"
        " run it there"
    )


def _devices(target: str) -> tuple[Device, ...]:
    return (cpu_device(),) if target == "cpu" else tuple(local_devices())
