"""The time of a T4 result: of all that was measured, only a time says how fast a configuration is.

The first objective is the one that was tuned, but it may be throughput or energy, of which more may be better. So a
measurement counts as a time by its unit, or, without a unit, by its name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evotune.replay.recording import RecordingError

_UNITS = {
    1e3: ("s", "sec", "second", "seconds"),
    1.0: ("ms", "msec", "millisecond", "milliseconds", "milisecond", "miliseconds"),
    1e-3: ("us", "µs", "μs", "usec", "microsecond", "microseconds"),
    1e-6: ("ns", "nsec", "nanosecond", "nanoseconds"),
}
_MILLISECONDS = {unit: factor for factor, units in _UNITS.items() for unit in units}
# A name of several words is one of a time if it has one of these.
_TIME_WORDS = frozenset({"time", "times", "runtime", "runtimes", "duration", "latency"})
# Where the objective is no time, only a measurement of this name is the time that a kernel took: others are of parts.
_USUAL_NAMES = ("time", "runtime", "runtimes")
# The format's own, where a file names none.
_DEFAULT_UNIT = "ms"


@dataclass(frozen=True)
class T4Times:
    """Reads times of a file; `factor` is the milliseconds of the unit that its metadata name, for times without one."""

    name: str
    factor: float

    @classmethod
    def of(cls, document: Mapping[str, Any], name: str) -> T4Times:
        """Read the metadata of a file of that name; raises RecordingError at a unit that is none of time."""
        unit = (document.get("metadata") or {}).get("timeunit") or _DEFAULT_UNIT
        factor = _factor(unit)
        if factor is None:
            raise RecordingError(f"{name} must have a timeunit of {_known()}, got {unit!r}")
        return cls(name, factor)

    def milliseconds(self, result: Mapping[str, Any]) -> float:
        """Return the time of a correct result: its first objective, or else the time beside it.

        Raises RecordingError where there is none, or it is no positive number.
        """
        measured = {each["name"]: each for each in result.get("measurements") or ()}
        objective = _first(result.get("objectives"))
        for name in (objective, *_USUAL_NAMES):
            if name in measured and (factor := self._factor_of(measured[name])) is not None:
                return self._positive(measured[name]["value"], factor)
        runtimes = (result.get("times") or {}).get("runtimes")
        if runtimes:
            return self._positive(runtimes, self.factor)
        raise RecordingError(
            f"{self.name} must have a time of every correct configuration, got {_told(objective, measured)}"
        )

    def _factor_of(self, measurement: Mapping[str, Any]) -> float | None:
        """Return the milliseconds of the measurement's unit, None if it is no time."""
        unit = measurement.get("unit")
        if unit:
            return _factor(unit)
        return self.factor if _names_a_time(str(measurement["name"])) else None

    def _positive(self, value: object, factor: float) -> float:
        values = value if isinstance(value, list) else [value]
        numbers = [each for each in values if isinstance(each, int | float) and not isinstance(each, bool)]
        if not numbers or len(numbers) < len(values):
            raise RecordingError(f"{self.name} must have times that are numbers, or lists of numbers, got {value!r}")
        time = math.fsum(numbers) / len(numbers) * factor
        if not 0 < time < math.inf:
            raise RecordingError(f"{self.name} must have times above 0 for correct configurations, got {time}")
        return time


def _first(objectives: str | Sequence[str] | None) -> str:
    if isinstance(objectives, str):
        return objectives
    return next(iter(objectives or ()), _USUAL_NAMES[0])


def _factor(unit: object) -> float | None:
    return _MILLISECONDS.get(str(unit).strip().lower())


def _known() -> str:
    return ", ".join(units[0] for units in _UNITS.values())


def _names_a_time(name: str) -> bool:
    return not _TIME_WORDS.isdisjoint(re.split(r"[^a-z]+", name.lower()))


def _told(objective: str, measured: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what there is in the place of a time."""
    if objective not in measured:
        return f"no measurement {objective!r}"
    unit = measured[objective].get("unit")
    return f"the objective {objective!r} in {unit!r}" if unit else f"the objective {objective!r} without a unit of time"
