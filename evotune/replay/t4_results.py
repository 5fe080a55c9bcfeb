"""The tuning community's T4 results (https://github.com/odgaard/TuningSchema, results-schema.json, version 1.0.0)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from evotune.replay.recording import RecordingError
from evotune_workers.kernel.contract import Configuration, Value

_MILLISECONDS = {"": 1.0, "ms": 1.0, "milliseconds": 1.0, "s": 1e3, "seconds": 1e3, "us": 1e-3, "ns": 1e-6}
# The first objective is what was tuned; most files name it so.
_USUAL_OBJECTIVE = "time"
# The schema as Kernel Tuner carries it; that of the first repository lacks "correct", which every file has.
INVALIDITIES = ("correct", "timeout", "compile", "runtime", "correctness", "constraints")


@dataclass(frozen=True)
class T4Result:
    """One result: `invalidity` is "correct" or what was wrong, `time_ms` is NaN unless it is correct.

    `measurements` are all that there are, as they stand in the file.
    """

    configuration: Configuration
    invalidity: str
    time_ms: float
    measurements: tuple[Mapping[str, Any], ...]


def read_t4(text: str, name: str) -> tuple[list[Configuration], list[float]]:
    """Configurations and times in milliseconds, NaN where one failed; what broke a constraint is left out."""
    kept = [result for result in read_results(text, name) if result.invalidity != "constraints"]
    return [result.configuration for result in kept], [result.time_ms for result in kept]


def read_results(text: str, name: str) -> list[T4Result]:
    """Every result, in the order of the file; RecordingError when it is no T4."""
    try:
        return [_result(result, name) for result in json.loads(text)["results"]]
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise RecordingError(
            f"{name} must be T4 results: a list `results` with configuration, invalidity and measurements, "
            f"got {type(error).__name__}: {error}"
        ) from error


def _result(result: Mapping[str, Any], name: str) -> T4Result:
    found = result["invalidity"]
    if found not in INVALIDITIES:
        raise RecordingError(f"{name} must have an invalidity of {', '.join(INVALIDITIES)}, got {found!r}")
    measurements = tuple(result.get("measurements", ()))
    return T4Result(_configuration(result), found, _time(result, name), measurements)


def _configuration(result: Mapping[str, Any]) -> dict[str, Value]:
    return {parameter: _value(value) for parameter, value in result["configuration"].items()}


def _value(value: object) -> Value:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, bool | int | str) else str(value)


def _time(result: Mapping[str, Any], name: str) -> float:
    if result["invalidity"] != "correct":
        return math.nan
    objective = next(iter(result.get("objectives") or ()), _USUAL_OBJECTIVE)
    for measurement in result.get("measurements", ()):
        if measurement["name"] == objective:
            return _milliseconds(measurement, name)
    raise RecordingError(f"{name} must have a measurement {objective!r} of every correct configuration, got none")


def _milliseconds(measurement: Mapping[str, Any], name: str) -> float:
    unit = measurement.get("unit", "")
    if unit not in _MILLISECONDS:
        raise RecordingError(f"{name} must have times in {', '.join(filter(None, _MILLISECONDS))}, got {unit!r}")
    time = float(np.mean(measurement["value"])) * _MILLISECONDS[unit]
    if not 0 < time < math.inf:
        raise RecordingError(f"{name} must have times above 0 for correct configurations, got {time}")
    return time
