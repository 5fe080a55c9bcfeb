"""A search space: the parameters of a kernel's variant, what their values must satisfy, and where to begin."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from evotune.space.enumeration import enumerate_codes
from evotune.space.errors import SpaceError
from evotune.space.parameter import Parameter
from evotune.space.rules import Constraint, Derived, Rules
from evotune.space.valid_set import ValidSet
from evotune_workers.kernel import Value


@dataclass(frozen=True)
class Space:
    """A space as written. `text` is the YAML as read, `path` where from (as error texts name it).

    `limits` are upper bounds on fields of the build's resource report; `default` is the configuration to begin with.
    """

    name: str
    kernel: str
    variant: str
    parameters: tuple[Parameter, ...]
    constraints: tuple[Constraint, ...]
    limits: Mapping[str, int]
    default: Mapping[str, Value] | None
    default_place: str
    path: str
    text: str

    @property
    def space_hash(self) -> str:
        """SHA-256 over what the space means: comments, layout and the file's name do not count."""
        meaning = {
            "kernel": self.kernel,
            "variant": self.variant,
            "parameters": [[parameter.name, parameter.kind, list(parameter.values)] for parameter in self.parameters],
            "constraints": sorted(constraint.expression.text for constraint in self.constraints),
            "limits": dict(self.limits),
            "default": None if self.default is None else dict(self.default),
        }
        return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()

    def enumerate(self, device: Mapping[str, int], derived: Derived | None = None) -> ValidSet:
        """All valid configurations on a device whose limits are `device` (constraints see them as device.NAME).

        `derived` gives a configuration's derived quantities; it is called only if some constraint uses one, and only
        for configurations that satisfy the constraints on parameters alone. Raises SpaceError for an unknown name, a
        default that is not valid, and a set that is empty (with what removes how many) or too large.
        """
        rules = Rules(
            frozenset(parameter.name for parameter in self.parameters), self.constraints, dict(device), derived
        )
        valid = ValidSet(self.parameters, enumerate_codes(self.parameters, rules, self.path), rules=rules)
        if self.default is None:
            return valid
        broken = valid.explain(self.default)
        if broken is not None:
            raise SpaceError(f"{self.default_place}: the default must be valid: {broken}; change it")
        return replace(valid, default=valid.index(self.default))
