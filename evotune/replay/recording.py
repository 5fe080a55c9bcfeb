"""A recorded space: the configurations that are valid, and what each of them took when somebody measured it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from evotune.space import Parameter, ValidSet, infer_kind
from evotune_workers.kernel import Configuration, Value

Array = npt.NDArray[np.float64]


class RecordingError(ValueError):
    """A recording that cannot be read; its text is one line for the user."""


@dataclass(frozen=True, eq=False)
class Recording:
    """`times[i]` is what configuration i of `valid` took, in milliseconds; NaN where it failed."""

    name: str
    valid: ValidSet
    times: Array

    @classmethod
    def of(cls, name: str, configurations: Sequence[Configuration], times: Sequence[float]) -> Recording:
        """The recording of these rows. RecordingError where there is nothing to find, or a row comes twice."""
        if not configurations or np.isnan(times).all():
            raise RecordingError(f"{name} must hold a configuration with a time, got none; record one")
        valid = ValidSet.of(_parameters(configurations), configurations)
        if len(valid) < len(configurations):
            raise RecordingError(f"{name} must hold a configuration once, got {_repeated(valid, configurations)} twice")
        ordered = np.empty(len(valid))
        ordered[[valid.index(configuration) for configuration in configurations]] = times
        return cls(name, valid, ordered)

    @cached_property
    def passing(self) -> Array:
        """The times of those that did not fail, ascending."""
        return np.sort(self.times[~np.isnan(self.times)])

    @property
    def optimum(self) -> float:
        """The shortest time, in milliseconds."""
        return float(self.passing[0])


def _parameters(configurations: Sequence[Configuration]) -> list[Parameter]:
    names = list(configurations[0])
    return [_parameter(name, [configuration[name] for configuration in configurations]) for name in names]


def _parameter(name: str, column: Sequence[Value]) -> Parameter:
    values = tuple(sorted(set(column), key=lambda value: (isinstance(value, str), value)))
    return Parameter(name, values, infer_kind(values))


def _repeated(valid: ValidSet, configurations: Sequence[Configuration]) -> Mapping[str, Value]:
    seen: set[int] = set()
    for configuration in configurations:
        i = valid.index(configuration)
        if i in seen:
            return dict(configuration)
        seen.add(i)
    raise AssertionError("no configuration is repeated")
