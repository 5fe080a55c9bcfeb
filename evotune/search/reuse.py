"""Reuse of outcomes: conditions under which a search need not build and measure a configuration again.

Two searches share outcomes when they agree in everything that an outcome depends on: kernel sources, variant, target,
workloads, the space's limits, gates and timing protocol, device model with its driver and limits, compiler, torch. The
seeds of the inputs are not part of this: a gate asks for correct results on any inputs, and finalists meet new inputs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence

from evotune.planning.plan import Plan
from evotune.planning.versions import versions
from evotune.space import configuration_key
from evotune_db.records import OutcomeRecord, Reusable
from evotune_workers.compilers.build import ToolchainError
from evotune_workers.compilers.select import compiler_for
from evotune_workers.kernel.contract import Configuration
from evotune_workers.kernel.device import Device
from evotune_workers.measuring.jobs import Measurement
from evotune_workers.timing.protocol import clearly_slower

# Raise this with a change of gates, inputs or timing that changes the meaning of an outcome.
PROTOCOL = 2
VERSIONS = ("evotune", "torch")
# Another run would find the figures of these gates again. A build, a launch or a timing may fail by chance: for lack of
# time or memory, or on a busy machine.
LASTING_GATES = ("resources", "identity", "memory", "structure", "numerics", "tails", "repeatability")


class Reuse:
    """Keys of the outcomes that a search may take over from others, and that it offers to them."""

    def __init__(self, plan: Plan, devices: Callable[[], Sequence[Device]]) -> None:
        """Fix the conditions of a plan. `devices` returns those that measure now, since workers come and go."""
        self._asked, self._devices = plan.reuse, devices
        self._conditions = json.dumps(_conditions(plan), sort_keys=True)
        self._models: dict[tuple[object, ...], str] = {}

    def wanted(self, configuration: Configuration) -> tuple[str, ...]:
        """Return the keys of outcomes that would hold for this search; none where the user refused reuse."""
        if not self._asked:
            return ()
        models = dict.fromkeys(map(self._model, self._devices()))
        return tuple(self._key(configuration, model) for model in ("", *models))

    def offered(self, configuration: Configuration, outcome: OutcomeRecord, device: Device | None) -> str | None:
        """Return the key of an outcome that was found on a device, or on none; None for one that may be chance."""
        if outcome.state == "failed" and outcome.failed_gate not in LASTING_GATES:
            return None
        return self._key(configuration, "" if device is None else self._model(device))

    def _model(self, device: Device) -> str:
        """Return a device's model as text, without the identity of the piece of hardware."""
        # Two machines of one image may have one identity, and a machine another driver than before.
        known = (device.uuid, *sorted(device.properties.items()), *sorted(device.limits.items()))
        if known not in self._models:
            model = [device.name, device.kind, dict(device.properties), dict(device.limits)]
            self._models[known] = json.dumps(model, sort_keys=True)
        return self._models[known]

    def _key(self, configuration: Configuration, model: str) -> str:
        parts = (self._conditions, model, configuration_key(configuration))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def is_lasting(measurement: Measurement) -> bool:
    """Return True if figures decided a measurement, not a child that died or hung, or a busy machine."""
    return measurement.failed_gate is None or measurement.refuted


def is_enough(found: Reusable, speedups: Mapping[str, float]) -> bool:
    """Return True if this search would have timed it no further: its incumbent may be slower than the other's was."""
    if not found.censored:
        return True
    timings = found.outcome.timings
    slower = [clearly_slower(timing.speedup_high, speedups.get(timing.workload)) for timing in timings]
    return bool(slower) and all(slower)


def _conditions(plan: Plan) -> dict[str, object]:
    installed = versions()
    return {
        "protocol": PROTOCOL,
        "kernel": [plan.kernel.name, plan.package.source_hash, plan.space.variant],
        "target": plan.target,
        "workloads": plan.workloads,
        "limits": dict(plan.space.limits),
        "compiler": _compiler(plan.target),
        "versions": {name: installed[name] for name in VERSIONS},
    }


def _compiler(target: str) -> str | None:
    """Return the version of this machine's compiler; None where it has none, and other nodes build."""
    try:
        return compiler_for(target).version()
    except ToolchainError:
        return None
