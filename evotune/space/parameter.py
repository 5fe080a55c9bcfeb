"""A parameter: its values and its kind, which defines the distance between values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from evotune_workers.kernel.contract import Value

Kind = Literal["boolean", "power_of_two", "ordered", "categorical"]
KINDS: tuple[Kind, ...] = ("boolean", "power_of_two", "ordered", "categorical")


@dataclass(frozen=True)
class Parameter:
    """A compile-time parameter with its possible values; the code of a value is its index in `values`.

    Raises ValueError for values that do not suit the kind. Values of kind ordered and power_of_two are sorted.
    """

    name: str
    values: tuple[Value, ...]
    kind: Kind

    def __post_init__(self) -> None:
        """Check the values against the kind."""
        _check_values(self.name, self.values, self.kind)
        if self.kind in ("ordered", "power_of_two"):
            object.__setattr__(self, "values", tuple(sorted(self.values, key=int)))

    @property
    def is_scale(self) -> bool:
        """True if the values are ordered, so that near values tend to behave alike."""
        return self.kind in ("ordered", "power_of_two")

    def code(self, value: Value) -> int:
        """Return the index of a value. Raises KeyError for an unknown one; True and 1 are different values."""
        return self._code_of_value[(isinstance(value, bool), value)]

    def has(self, value: Value) -> bool:
        """Return True if it is one of the values."""
        return (isinstance(value, bool), value) in self._code_of_value

    @cached_property
    def encoding(self) -> npt.NDArray[np.float32]:
        """The coordinates of every value, shape (values, width); the two farthest values have distance 1.

        A power of two has its logarithm as coordinate. An ordered value has the mean of its logarithm and its rank,
        both scaled to [0, 1]: the effect of a step lies between the two. A boolean is 0 or 1, a category is one-hot.
        """
        if self.kind == "categorical":
            return np.eye(len(self.values), dtype=np.float32) / np.float32(math.sqrt(2))
        numbers = np.array([float(value) for value in self.values])
        if self.kind == "power_of_two":
            scaled = _unit(np.log2(numbers))
        else:
            scaled = (_unit(np.log1p(numbers - min(numbers[0], 0.0))) + _unit(np.arange(len(numbers)))) / 2
        return scaled.astype(np.float32)[:, np.newaxis]

    @cached_property
    def _code_of_value(self) -> dict[tuple[bool, Value], int]:
        return {(isinstance(value, bool), value): code for code, value in enumerate(self.values)}


def infer_kind(values: Sequence[Value]) -> Kind:
    """Return the kind of a list of values that does not state one; a list with a string is categorical."""
    if all(isinstance(value, bool) for value in values):
        return "boolean"
    if not all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        return "categorical"
    return "power_of_two" if all(_is_power_of_two(value) for value in values) else "ordered"


def _unit(numbers: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    extent = float(np.ptp(numbers)) or 1.0
    return np.asarray((numbers - numbers.min()) / extent, dtype=np.float64)


def _check_values(name: str, values: tuple[Value, ...], kind: Kind) -> None:
    if not values:
        raise ValueError(f"{name} must have at least one value, got none; add one or remove {name}")
    if not all(isinstance(value, bool | int | str) for value in values):
        raise ValueError(f"{name} must have whole numbers, booleans or strings as values, got {list(values)}")
    repeated = sorted({str(value) for value in values if values.count(value) > 1})
    if repeated:
        raise ValueError(f"{name} must have distinct values, got {', '.join(repeated)} more than once; remove one")
    if len({type(value) for value in values}) > 1:
        raise ValueError(f"{name} must have values of one type, got {list(values)}; quote all strings or none")
    if kind == "boolean" and not isinstance(values[0], bool):
        raise ValueError(f"a boolean {name} must have the values true and false, got {list(values)}")
    if kind in ("ordered", "power_of_two") and type(values[0]) is not int:
        raise ValueError(f"{kind} {name} must have whole numbers, got {list(values)}; or make its kind categorical")
    if kind == "power_of_two" and not all(_is_power_of_two(value) for value in values):
        raise ValueError(f"{name} must have powers of two, got {list(values)}; or make its kind ordered")


def _is_power_of_two(value: Value) -> bool:
    return isinstance(value, int) and value > 0 and value & (value - 1) == 0
