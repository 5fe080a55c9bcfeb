"""Records as JSON and CSV."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import IO, Any


def write_json(value: Any, stream: IO[str]) -> None:
    """Write `value` (dataclasses, mappings, sequences, times, numbers, strings) as indented JSON and a line end."""
    stream.write(json.dumps(json_value(value), indent=2, allow_nan=False) + "\n")


def write_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], stream: IO[str]) -> None:
    """Write a header and a line a row; a value with parts is written as JSON, None as nothing."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(json_value(row[column])) for column in columns])


def json_value(value: Any) -> Any:
    """Return `value` in the types of JSON. Numbers that JSON lacks become the strings nan, inf and -inf."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return fields(value)
    if isinstance(value, Mapping):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_value(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def fields(record: Any) -> dict[str, Any]:
    """Return the fields of a dataclass by name, in their order, each in the types of JSON."""
    return {field.name: json_value(getattr(record, field.name)) for field in dataclasses.fields(record)}


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, (dict, list)) else value
