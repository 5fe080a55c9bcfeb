"""Admission to a worker pool: figures from two devices, or from other versions of torch, do not compare."""

from __future__ import annotations

from collections.abc import Mapping

from evotune_workers.cluster.node_versions import difference, node_versions
from evotune_workers.cluster.node_worker import WorkerDescription
from evotune_workers.kernel.device import Device

# A device's name and its limits.
Model = tuple[str, Mapping[str, int]]


class Admission:
    """Admits workers with a device of one model and the versions of this machine, and remembers why it refused."""

    def __init__(self, target: str, model: Model | None) -> None:
        """Admit devices of this model. None: the first worker that is admitted decides."""
        self._target, self._model = target, model
        self._versions = node_versions()
        self._quarantined: set[str] = set()
        self._reasons: list[str] = []
        self.admitted_any = False

    @property
    def refused_any(self) -> bool:
        """True when a worker or a node was refused."""
        return bool(self._reasons)

    def admit(self, device: Device) -> None:
        """Take on a worker with this device."""
        self._model, self.admitted_any = _model(device), True

    def quarantine(self, device: Device) -> None:
        """Measure on this device no more."""
        self._quarantined.add(device.uuid)

    def quarantined(self, device: Device) -> bool:
        """Return True for a device that must not measure any more."""
        return device.uuid in self._quarantined

    def version_fault(self, description: WorkerDescription) -> str | None:
        """Return the version that the worker's node must have and has not, if there is one."""
        return difference(self._versions, description.versions)

    def device_fault(self, device: Device) -> str | None:
        """Return the reason why figures from this device do not compare, if there is one."""
        if device.target != self._target:
            return f"its device must be of target {self._target}, got {device.name} ({device.target})"
        if self._model not in (None, _model(device)):
            model = f"{self._model[0]} with the limits of what was measured on before"
            return f"its device must be {model}, got {device.name}"
        return None

    def refuse(self, host: str, reason: str) -> str:
        """Remember a reason, and return it as a line for the user."""
        line = f"{host} does not measure: {reason}"
        self._reasons.append(line)
        return line

    def without_worker(self, rule: str) -> str:
        """Return the error for a search without a worker, with every reason so far."""
        why = "; ".join(dict.fromkeys(self._reasons)) or "other work may hold the devices"
        return f"a worker must measure, {rule}: {why}"


def _model(device: Device) -> Model:
    return device.name, device.limits
