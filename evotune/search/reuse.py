"""Which outcomes say the same in another search, so that it need not build and measure the configuration again.

Two searches share outcomes when they agree in everything that an outcome depends on: kernel sources, variant, target,
workloads, the space's limits, gates and timing protocol, device model with its driver and limits, compiler, torch. The
seeds of the inputs are not among it: a gate asks for correct results on any inputs, and finalists meet new ones.
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

# To be raised with a change of gates, inputs or timing after which an outcome says something else.
PROTOCOL = 1
VERSIONS = ("evotune", "torch")
# Their verdicts are over figures that another run would find again. What a build, a launch or a timing fails of (time,
# memory, a busy machine) may be chance.
LASTING_GATES = ("resources", "identity", "memory", "structure", "numerics", "tails", "repeatability")


class Reuse:
    """What a search may take over from others, and offers to them."""

    def __init__(self, plan: Plan, devices: Callable[[], Sequence[Device]]) -> None:
        """`devices` tells which measure for the search now: they come and go."""
        self._asked, self._devices = plan.reuse, devices
        self._conditions = json.dumps(_conditions(plan), sort_keys=True)
        self._models: dict[tuple[object, ...], str] = {}

    def wanted(self, configuration: Configuration) -> tuple[str, ...]:
        """The keys of outcomes that would be this search's own; none where the user refused them."""
        if not self._asked:
            return ()
        models = dict.fromkeys(map(self._model, self._devices()))
        return tuple(self._key(configuration, model) for model in ("", *models))

    def offered(self, configuration: Configuration, outcome: OutcomeRecord, device: Device | None) -> str | None:
        """The key of an outcome that was found on a device, or on none: not for one that may be chance."""
        if outcome.state == "failed" and outcome.failed_gate not in LASTING_GATES:
            return None
        return self._key(configuration, "" if device is None else self._model(device))

    def _model(self, device: Device) -> str:
        """A device but for which piece of hardware it is; written once for each."""
        # Two machines of one image may have one identity, and a machine another driver than before.
        known = (device.uuid, *sorted(device.properties.items()), *sorted(device.limits.items()))
        if known not in self._models:
            properties = [device.name, device.kind, dict(device.properties), dict(device.limits)]
            self._models[known] = json.dumps(properties, sort_keys=True)
        return self._models[known]

    def _key(self, configuration: Configuration, model: str) -> str:
        parts = (self._conditions, model, configuration_key(configuration))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def lasts(measurement: Measurement) -> bool:
    """Whether a measurement's outcome is one of figures, and not of a child that died or hung, or of a busy machine."""
    return measurement.failed_gate is None or measurement.refuted


def is_enough(found: Reusable, incumbents: Mapping[str, float]) -> bool:
    """Whether this search would have timed it no further: the best yet may be slower than that which stopped it."""
    if not found.censored:
        return True
    timings = found.outcome.timings
    slower = [clearly_slower(timing.speedup_high, incumbents.get(timing.workload)) for timing in timings]
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
    """This machine's; None where it has none, and others build."""
    try:
        return compiler_for(target).version()
    except ToolchainError:
        return None
