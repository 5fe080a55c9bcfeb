"""Read results in the T4 format (https://github.com/odgaard/TuningSchema, results-schema.json, version 1.0.0)."""

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
# A result's first objective is the one that was tuned. This is its usual name, for files that name none.
_USUAL_OBJECTIVE = "time"
# From the schema that Kernel Tuner ships. The one in the original repository lacks "correct", which every file uses.
INVALIDITIES = ("correct", "timeout", "compile", "runtime", "correctness", "constraints")


@dataclass(frozen=True)
class T4Result:
    """One result: `invalidity` is "correct" or the kind of failure, `time_ms` is NaN unless it is correct.

    `measurements`: all measurements, unchanged from the file.
    """

    configuration: Configuration
    invalidity: str
    time_ms: float
    measurements: tuple[Mapping[str, Any], ...]


def read_t4(text: str, name: str) -> tuple[list[Configuration], list[float]]:
    """Return configurations and times in milliseconds, NaN for a failed one, without those that broke a constraint."""
    kept = [result for result in read_results(text, name) if result.invalidity != "constraints"]
    return [result.configuration for result in kept], [result.time_ms for result in kept]


def read_results(text: str, name: str) -> list[T4Result]:
    """Return every result, in the order of the file. Raises RecordingError if it is not in the T4 format."""
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
