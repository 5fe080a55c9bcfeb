"""A search space: the parameters of a kernel's variant, what their values must satisfy, and where to begin."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from evotune.space.enumeration import enumerate_valid
from evotune.space.parameter import Parameter
from evotune.space.rules import Constraint, Derived, Rules
from evotune.space.space_error import SpaceError
from evotune.space.valid_set import ValidSet
from evotune_workers.kernel.contract import Value


@dataclass(frozen=True)
class Default:
    """A configuration to begin with and where it is written, as file:line."""

    configuration: Mapping[str, Value]
    place: str


@dataclass(frozen=True)
class Space:
    """A space as written. `text` is the YAML as read, `path` where from (as error texts name it).

    `target` is the one that it was written for, which makes a built-in space the target's own; None if it does not say.
    `limits` are upper bounds on fields of the build's resource report. A search begins with the first of `defaults`
    that is valid on its device for its workloads.
    """

    name: str
    kernel: str
    variant: str
    target: str | None
    parameters: tuple[Parameter, ...]
    constraints: tuple[Constraint, ...]
    limits: Mapping[str, int]
    defaults: tuple[Default, ...]
    path: str
    text: str

    @property
    def default(self) -> Mapping[str, Value] | None:
        """The first default, if there is one."""
        return self.defaults[0].configuration if self.defaults else None

    @property
    def space_hash(self) -> str:
        """SHA-256 over what the space means: comments, layout, the file's name and its target do not count."""
        meaning = {
            "kernel": self.kernel,
            "variant": self.variant,
            "parameters": [[parameter.name, parameter.kind, list(parameter.values)] for parameter in self.parameters],
            "constraints": sorted(constraint.expression.text for constraint in self.constraints),
            "limits": dict(self.limits),
            "default": self._meaning_of_defaults(),
        }
        return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()

    def enumerate(self, device: Mapping[str, int], derived: Derived | None = None) -> ValidSet:
        """All valid configurations on a device whose limits are `device` (constraints see them as device.NAME).

        `derived` gives a configuration's derived quantities; it is called only if some constraint uses one, and only
        for configurations that satisfy the constraints on parameters alone. Raises SpaceError for an unknown name, a
        space none of whose defaults is valid, and a set that is empty (with what removes how many) or too large.
        """
        rules = Rules(
            frozenset(parameter.name for parameter in self.parameters), self.constraints, dict(device), derived
        )
        codes, quantities = enumerate_valid(self.parameters, rules, self.path)
        valid = ValidSet(self.parameters, codes, rules=rules, quantities=quantities)
        return replace(valid, default=self._first_valid_default(valid))

    def _first_valid_default(self, valid: ValidSet) -> int | None:
        reasons = []
        for default in self.defaults:
            broken = valid.explain(default.configuration)
            if broken is None:
                return valid.index(default.configuration)
            reasons.append(f"{default.place}: the default must be valid: {broken}; change it or add another")
        if reasons:
            raise SpaceError(reasons[0])
        return None

    def _meaning_of_defaults(self) -> object:
        """As written: one default means the same with and without a list around it."""
        defaults = [dict(default.configuration) for default in self.defaults]
        return defaults if len(defaults) > 1 else next(iter(defaults), None)
