"""A recorded space: the valid configurations and the time of each, as somebody measured it earlier."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from evotune.space import Parameter, ValidSet, infer_kind
from evotune_workers.kernel.contract import Configuration, Value

# The mixed-radix number of a configuration must fit into 64 bits.
_MOST_COMBINATIONS = 2**63 - 1

Array = npt.NDArray[np.float64]


class RecordingError(ValueError):
    """The recording cannot be read; the message is one line for the user."""


@dataclass(frozen=True, eq=False)
class Recording:
    """A recorded space; `times[i]` is the time of configuration i of `valid` in milliseconds, NaN if it failed."""

    name: str
    valid: ValidSet
    times: Array

    @classmethod
    def of(cls, name: str, configurations: Sequence[Configuration], times: Sequence[float]) -> Recording:
        """Create the recording of these rows.

        Raises RecordingError if no configuration has a time, or one occurs twice.
        """
        if not configurations or np.isnan(times).all():
            raise RecordingError(f"{name} must hold a configuration with a time, got none; record one")
        parameters = _parameters(name, configurations)
        if math.prod(len(parameter.values) for parameter in parameters) > _MOST_COMBINATIONS:
            raise RecordingError(f"{name} must have at most {_MOST_COMBINATIONS} combinations of values, got more")
        valid = ValidSet.of(parameters, configurations)
        if len(valid) < len(configurations):
            raise RecordingError(f"{name} must hold a configuration once, got {_repeated(valid, configurations)} twice")
        ordered = np.empty(len(valid))
        ordered[[valid.index(configuration) for configuration in configurations]] = times
        return cls(name, valid, ordered)

    @cached_property
    def passing(self) -> Array:
        """The times of the configurations that did not fail, ascending."""
        return np.sort(self.times[~np.isnan(self.times)])

    @property
    def optimum(self) -> float:
        """The shortest time, in milliseconds."""
        return float(self.passing[0])

    @property
    def space_text(self) -> str:
        """The parameters as JSON, which `parameters_of` reads."""
        return json.dumps({p.name: {"kind": p.kind, "values": list(p.values)} for p in self.valid.parameters})

    @property
    def space_hash(self) -> str:
        """The SHA-256 of the parameters and the valid configurations."""
        return hashlib.sha256(self.space_text.encode() + self.valid.codes.tobytes()).hexdigest()

    @property
    def content_hash(self) -> str:
        """The SHA-256 of the space and all times; it does not depend on the name or the format of the file."""
        return hashlib.sha256(self.space_hash.encode() + self.times.tobytes()).hexdigest()


def parameters_of(space_text: str) -> tuple[Parameter, ...]:
    """Read the parameters of a recording from its `space_text`."""
    written = json.loads(space_text)
    return tuple(Parameter(name, tuple(one["values"]), one["kind"]) for name, one in written.items())


def _parameters(name: str, configurations: Sequence[Configuration]) -> list[Parameter]:
    names = list(configurations[0])
    if not names or any(configuration.keys() != configurations[0].keys() for configuration in configurations):
        raise RecordingError(f"{name} must have the same parameters in every configuration, at least one")
    try:
        return [_parameter(parameter, [row[parameter] for row in configurations]) for parameter in names]
    except ValueError as error:
        raise RecordingError(f"in {name}, {error}") from error


def _parameter(name: str, column: Sequence[Value]) -> Parameter:
    distinct = {(isinstance(value, bool), value): value for value in column}.values()
    values = tuple(sorted(distinct, key=lambda value: (isinstance(value, str), value)))
    return Parameter(name, values, infer_kind(values))


def _repeated(valid: ValidSet, configurations: Sequence[Configuration]) -> Mapping[str, Value]:
    seen: set[int] = set()
    for configuration in configurations:
        i = valid.index(configuration)
        if i in seen:
            return dict(configuration)
        seen.add(i)
    raise AssertionError("no configuration is repeated")
