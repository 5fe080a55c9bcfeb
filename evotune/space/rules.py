"""The constraints of a space on one device, for columns of configurations and for a single configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from evotune.space.evaluation import Column, Mask
from evotune.space.expressions import Expression
from evotune.space.space_error import ExpressionError, SpaceError
from evotune_workers.kernel.contract import Configuration

Derived = Callable[[Configuration], Mapping[str, int]]


@dataclass(frozen=True)
class Constraint:
    """A constraint and its location, as file:line."""

    expression: Expression
    location: str


@dataclass(frozen=True)
class Rules:
    """The constraints, with the limits of the device and the function for derived quantities that they need."""

    parameter_names: frozenset[str]
    constraints: tuple[Constraint, ...]
    device: Mapping[str, int]
    derived: Derived | None

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields without `derived`: another process cannot import a kernel that was loaded by path."""
        return {**self.__dict__, "derived": None}

    def needs_derived(self, constraint: Constraint) -> bool:
        """Return True if the constraint uses a quantity that the kernel derives from a configuration."""
        return not constraint.expression.names <= self.parameter_names

    def holds(self, constraint: Constraint, columns: Mapping[str, Column]) -> Mask:
        """Return a mask, True where the constraint holds; `columns` has an array for each name that it uses.

        Raises SpaceError, with the line of the constraint, for a number beyond +-2**53.
        """
        limits = {f"device.{name}": np.asarray(self.device[name]) for name in constraint.expression.device}
        try:
            return constraint.expression.holds({**columns, **limits})
        except ExpressionError as error:
            raise SpaceError(f"{constraint.location}: {error}") from error

    def broken_by(self, configuration: Configuration) -> str | None:
        """Describe the first constraint that a configuration breaks, with the values it uses; None if there is none."""
        for constraint, columns in self._in_order(configuration):
            if not np.all(self.holds(constraint, columns)):
                figures = {name: columns[name].item() for name in sorted(constraint.expression.names)}
                limits = {f"device.{name}": self.device[name] for name in sorted(constraint.expression.device)}
                got = ", ".join(f"{name} = {value}" for name, value in {**figures, **limits}.items())
                return f"must hold: {constraint.expression.text}, got {got}"
        return None

    def _in_order(self, configuration: Configuration) -> Iterator[tuple[Constraint, Mapping[str, Column]]]:
        columns = {name: np.asarray(value) for name, value in configuration.items()}
        for constraint in self.constraints:
            if not self.needs_derived(constraint):
                yield constraint, columns
        late = [constraint for constraint in self.constraints if self.needs_derived(constraint)]
        if late and self.derived is not None:
            derived = {name: np.asarray(value) for name, value in self.derived(configuration).items()}
            for constraint in late:
                yield constraint, {**columns, **derived}
