"""The valid configurations of a space on a device, with an index, an encoding and a fast look-up.

A configuration is a row of codes: the index of each value in its parameter's list. Rows are sorted, so bisection finds
a row by its mixed-radix number. This takes 8 bytes for each configuration, without a dictionary or a table of
neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from evotune.space.configuration import configuration_key, misfit
from evotune.space.parameter import Parameter
from evotune.space.quantity import Quantity
from evotune.space.rules import Rules
from evotune_workers.kernel.contract import Configuration, Value

if TYPE_CHECKING:
    from optuna.distributions import CategoricalDistribution

Codes = npt.NDArray[np.uint8 | np.uint16]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ValidSet:
    """The valid configurations, with indices 0 to len - 1; `codes` has the shape (n, parameters), rows ascending.

    `default`: the index of the space's default. `rules`: explain why another configuration is not valid; a set read
    from a recording has none. `quantities`: the derived quantities that constraints use.
    """

    parameters: tuple[Parameter, ...]
    codes: Codes
    default: int | None = None
    rules: Rules | None = None
    quantities: tuple[Quantity, ...] = ()

    @classmethod
    def of(cls, parameters: Sequence[Parameter], configurations: Iterable[Configuration]) -> ValidSet:
        """Create the sorted set of these configurations. Raises KeyError for a value that a parameter does not have."""
        names = [parameter.name for parameter in parameters]
        rows = [[p.code(row[name]) for name, p in zip(names, parameters, strict=True)] for row in configurations]
        codes = np.array(rows, dtype=code_type(parameters)).reshape(len(rows), len(names))
        return cls(tuple(parameters), np.unique(codes, axis=0))

    def __len__(self) -> int:
        """Return the number of valid configurations."""
        return len(self.codes)

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields without the cached properties, which another process can compute again."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Restore the fields."""
        self.__dict__.update(state)

    def configuration(self, i: int) -> dict[str, Value]:
        """Return the configuration with index `i`."""
        return {p.name: p.values[int(code)] for p, code in zip(self.parameters, self.codes[i], strict=True)}

    def index(self, configuration: Configuration) -> int:
        """Return the index of a configuration. Raises KeyError, with the reason, if it is not valid."""
        found = self.index_or_none(configuration)
        if found is None:
            raise KeyError(self.explain(configuration))
        return found

    def index_or_none(self, configuration: Configuration) -> int | None:
        """Return the index of a configuration, None if it is not valid; 100 times as fast as finding the reason."""
        if misfit(self.parameters, configuration) is not None:
            return None
        found = int(self.find(self._row(configuration))[0])
        return found if found >= 0 else None

    def nearest(self, configuration: Configuration) -> int | None:
        """Return the index of the nearest valid configuration, None if a value is unknown to its parameter."""
        i = self.index_or_none(configuration)
        if i is not None or misfit(self.parameters, configuration) is not None:
            return i
        distances = np.zeros(len(self), dtype=np.float32)
        for j, parameter in enumerate(self.parameters):
            apart = parameter.encoding - parameter.encoding[parameter.code(configuration[parameter.name])]
            distances += np.square(apart).sum(axis=1)[self.codes[:, j]]
        return int(distances.argmin())

    def find(self, codes: npt.NDArray[Any]) -> Indices:
        """Return the indices of rows of codes, shape (m, parameters); -1 for a row that is not valid."""
        packed = codes.astype(np.int64) @ self._radices
        positions = np.minimum(np.searchsorted(self._packed, packed), len(self) - 1)
        return np.where(self._packed[positions] == packed, positions, -1)

    def key(self, i: int) -> str:
        """Return the canonical text of the configuration with index `i`."""
        return configuration_key(self.configuration(i))

    def neighbours(self, i: int) -> Indices:
        """Return the indices of all valid configurations that differ in exactly one parameter, ascending."""
        row = self.codes[i].astype(np.int64)
        steps = [
            (np.delete(np.arange(len(parameter.values)), code) - code) * radix
            for parameter, code, radix in zip(self.parameters, row, self._radices, strict=True)
        ]
        packed = np.sort(self._packed[i] + np.concatenate(steps))
        positions = np.minimum(np.searchsorted(self._packed, packed), len(self) - 1)
        found: Indices = positions[self._packed[positions] == packed]
        return found

    def distributions(self) -> dict[str, CategoricalDistribution]:
        """Return the parameters as Optuna's categorical distributions."""
        from optuna.distributions import CategoricalDistribution

        return {parameter.name: CategoricalDistribution(parameter.values) for parameter in self.parameters}

    def explain(self, configuration: Configuration) -> str | None:
        """Return the rule that a configuration breaks, None if it is valid."""
        reason = misfit(self.parameters, configuration)
        if reason is not None:
            return reason
        if self.find(self._row(configuration))[0] >= 0:
            return None
        broken = self.rules.broken_by(configuration) if self.rules is not None else None
        return broken or f"not among the {len(self)} configurations of the set: {configuration_key(configuration)}"

    def _row(self, configuration: Configuration) -> Indices:
        return np.array([[parameter.code(configuration[parameter.name]) for parameter in self.parameters]])

    @cached_property
    def features(self) -> npt.NDArray[np.float32]:
        """The coordinates of every configuration, shape (n, coordinates); see Parameter.encoding."""
        return self.encode(self.codes)

    def encode(self, codes: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return the coordinates of rows of codes, which need not be valid."""
        columns = [parameter.encoding[codes[:, j]] for j, parameter in enumerate(self.parameters)]
        return np.concatenate(columns, axis=1)

    @cached_property
    def _radices(self) -> Indices:
        return radices(self.parameters)

    @cached_property
    def _packed(self) -> Indices:
        packed = np.zeros(len(self), dtype=np.int64)
        for column, radix in zip(self.codes.T, self._radices, strict=True):
            packed += column * radix
        return packed


def code_type(parameters: Sequence[Parameter]) -> type[np.uint8] | type[np.uint16]:
    """Return the smallest type that can represent the codes of all these parameters."""
    return np.uint8 if all(len(parameter.values) <= 256 for parameter in parameters) else np.uint16


def radices(parameters: Sequence[Parameter]) -> Indices:
    """Return the weight of each parameter's code in the mixed-radix number, largest for the first parameter."""
    sizes = [len(parameter.values) for parameter in parameters]
    return np.array([int(np.prod(sizes[j + 1 :], dtype=np.int64)) for j in range(len(sizes))], dtype=np.int64)
