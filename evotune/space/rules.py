"""The constraints of a space, applied to one device: to columns of configurations, and to a single one."""

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
    """A constraint and where it is written, as file:line."""

    expression: Expression
    place: str


@dataclass(frozen=True)
class Rules:
    """The constraints with what they need beyond parameters: the device's limits and the derived quantities."""

    parameter_names: frozenset[str]
    constraints: tuple[Constraint, ...]
    device: Mapping[str, int]
    derived: Derived | None

    def __getstate__(self) -> dict[str, Any]:
        """Without `derived`, which belongs to a kernel loaded by path that another process cannot import."""
        return {**self.__dict__, "derived": None}

    def needs_derived(self, constraint: Constraint) -> bool:
        """Whether the constraint uses a quantity that the kernel derives from a configuration."""
        return not constraint.expression.names <= self.parameter_names

    def holds(self, constraint: Constraint, columns: Mapping[str, Column]) -> Mask:
        """Where the constraint holds; `columns` has an array per name that it uses. SpaceError names its line."""
        limits = {f"device.{name}": np.asarray(self.device[name]) for name in constraint.expression.device}
        try:
            return constraint.expression.holds({**columns, **limits})
        except ExpressionError as error:
            raise SpaceError(f"{constraint.place}: {error}") from error

    def broken_by(self, configuration: Configuration) -> str | None:
        """The first constraint that a configuration breaks, with the figures it uses; None if it breaks none."""
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
