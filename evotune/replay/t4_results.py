"""Read results in the T4 format (https://github.com/odgaard/TuningSchema, results-schema.json, version 1.0.0)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evotune.replay.recording import RecordingError
from evotune.replay.t4_times import T4Times
from evotune_workers.kernel.contract import Configuration, Value

# From the schema that Kernel Tuner ships. The one in the original repository lacks "correct", which every file uses.
CORRECT = "correct"
INVALIDITIES = (CORRECT, "timeout", "compile", "runtime", "correctness", "constraints")


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
        document = json.loads(text)
        times = T4Times.of(document, name)
        return [_result(result, times) for result in document["results"]]
    except RecordingError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise RecordingError(
            f"{name} must be T4 results: a list `results` with configuration, invalidity and measurements, "
            f"got {type(error).__name__}: {error}"
        ) from error


def _result(result: Mapping[str, Any], times: T4Times) -> T4Result:
    found = result["invalidity"]
    if found not in INVALIDITIES:
        raise RecordingError(f"{times.name} must have an invalidity of {', '.join(INVALIDITIES)}, got {found!r}")
    time = times.milliseconds(result) if found == CORRECT else math.nan
    return T4Result(_configuration(result), found, time, tuple(result.get("measurements") or ()))


def _configuration(result: Mapping[str, Any]) -> dict[str, Value]:
    return {parameter: _value(value) for parameter, value in result["configuration"].items()}


def _value(value: object) -> Value:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, bool | int | str) else str(value)
