"""A search space: the parameters of a kernel's variant, their constraints, and default configurations."""

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
    """A configuration to begin a search with, and its location as file:line."""

    configuration: Mapping[str, Value]
    location: str


@dataclass(frozen=True)
class Space:
    """A space as written in a file; `text` is its YAML, and `path` is the name of the file in error messages.

    `target`: the target that the space was written for, None if it names none. A built-in space with a target is the
    one that searches for this target use. `limits`: upper bounds on fields of the build's resource report. `defaults`:
    a search begins with the first one that is valid on its device for its workloads.
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
        """The first default, None if there is none."""
        return self.defaults[0].configuration if self.defaults else None

    @property
    def space_hash(self) -> str:
        """The SHA-256 of the space's meaning: comments, layout, file name and target do not change it."""
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
        """Enumerate the valid configurations on a device; constraints refer to its limits `device` as device.NAME.

        `derived` computes the derived quantities of a configuration. It is called only if a constraint uses one, and
        only for configurations that satisfy all other constraints.

        Raises SpaceError for an unknown name, if no default is valid, and for a set that is empty or too large. For an
        empty set, the message has the number of configurations that each constraint removes.
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
            reasons.append(f"{default.location}: the default must be valid: {broken}; change it or add another")
        if reasons:
            raise SpaceError(reasons[0])
        return None

    def _meaning_of_defaults(self) -> object:
        """Return the defaults as written; a single one has the same meaning with and without a list around it."""
        defaults = [dict(default.configuration) for default in self.defaults]
        return defaults if len(defaults) > 1 else next(iter(defaults), None)
