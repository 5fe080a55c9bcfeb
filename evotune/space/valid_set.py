"""The valid configurations of a space on a device: numbered, encoded, and looked up fast.

A configuration is a row of codes (the place of each value in its parameter's list). Rows are sorted, so a row's
mixed-radix number finds it by bisection: 8 bytes a configuration, no table of neighbours, no dictionary.
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
    """Configurations 0 to len - 1. `codes`: shape (n, parameters), rows ascending; `default`: the space's own start.

    `rules` explain why another configuration is not here; a set read from a recording has none. `quantities`: what the
    kernel derives and the space's constraints use.
    """

    parameters: tuple[Parameter, ...]
    codes: Codes
    default: int | None = None
    rules: Rules | None = None
    quantities: tuple[Quantity, ...] = ()

    @classmethod
    def of(cls, parameters: Sequence[Parameter], configurations: Iterable[Configuration]) -> ValidSet:
        """The set of exactly these configurations, sorted; KeyError for a value that a parameter does not have."""
        names = [parameter.name for parameter in parameters]
        rows = [[p.code(row[name]) for name, p in zip(names, parameters, strict=True)] for row in configurations]
        codes = np.array(rows, dtype=code_type(parameters)).reshape(len(rows), len(names))
        return cls(tuple(parameters), np.unique(codes, axis=0))

    def __len__(self) -> int:
        """How many configurations are valid."""
        return len(self.codes)

    def __getstate__(self) -> dict[str, Any]:
        """The fields alone: what can be computed again does not travel."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Take the fields as they are."""
        self.__dict__.update(state)

    def configuration(self, i: int) -> dict[str, Value]:
        """The configuration of that number."""
        return {p.name: p.values[int(code)] for p, code in zip(self.parameters, self.codes[i], strict=True)}

    def index(self, configuration: Configuration) -> int:
        """The number of a configuration; KeyError says why it has none."""
        found = self.index_or_none(configuration)
        if found is None:
            raise KeyError(self.explain(configuration))
        return found

    def index_or_none(self, configuration: Configuration) -> int | None:
        """The number of a configuration, None where it has none; to say why takes a hundred times as long."""
        if misfit(self.parameters, configuration) is not None:
            return None
        found = int(self.find(self._row(configuration))[0])
        return found if found >= 0 else None

    def nearest(self, configuration: Configuration) -> int | None:
        """The number of the one most like it, itself if it is valid; None where a value is none of its parameter's."""
        number = self.index_or_none(configuration)
        if number is not None or misfit(self.parameters, configuration) is not None:
            return number
        distances = np.zeros(len(self), dtype=np.float32)
        for j, parameter in enumerate(self.parameters):
            apart = parameter.encoding - parameter.encoding[parameter.code(configuration[parameter.name])]
            distances += np.square(apart).sum(axis=1)[self.codes[:, j]]
        return int(distances.argmin())

    def find(self, codes: npt.NDArray[Any]) -> Indices:
        """The numbers of rows of codes, shape (m, parameters); -1 for a row that is not valid."""
        packed = codes.astype(np.int64) @ self._radices
        places = np.minimum(np.searchsorted(self._packed, packed), len(self) - 1)
        return np.where(self._packed[places] == packed, places, -1)

    def key(self, i: int) -> str:
        """Canonical text of a configuration, by number."""
        return configuration_key(self.configuration(i))

    def neighbours(self, i: int) -> Indices:
        """The numbers of all valid configurations that differ from this one in exactly one parameter, ascending."""
        row = self.codes[i].astype(np.int64)
        steps = [
            (np.delete(np.arange(len(parameter.values)), code) - code) * radix
            for parameter, code, radix in zip(self.parameters, row, self._radices, strict=True)
        ]
        packed = np.sort(self._packed[i] + np.concatenate(steps))
        places = np.minimum(np.searchsorted(self._packed, packed), len(self) - 1)
        found: Indices = places[self._packed[places] == packed]
        return found

    def distributions(self) -> dict[str, CategoricalDistribution]:
        """Every parameter as Optuna sees it."""
        from optuna.distributions import CategoricalDistribution

        return {parameter.name: CategoricalDistribution(parameter.values) for parameter in self.parameters}

    def explain(self, configuration: Configuration) -> str | None:
        """The rule that a configuration breaks; None where it is in the set."""
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
        """Every configuration as coordinates, shape (n, coordinates); see Parameter.encoding."""
        return self.encode(self.codes)

    def encode(self, codes: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Rows of codes, valid or not, as coordinates."""
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
    """The smallest type that holds the codes of all these parameters."""
    return np.uint8 if all(len(parameter.values) <= 256 for parameter in parameters) else np.uint16


def radices(parameters: Sequence[Parameter]) -> Indices:
    """The weight of each parameter's code in a configuration's mixed-radix number, first parameter heaviest."""
    sizes = [len(parameter.values) for parameter in parameters]
    return np.array([int(np.prod(sizes[j + 1 :], dtype=np.int64)) for j in range(len(sizes))], dtype=np.int64)
