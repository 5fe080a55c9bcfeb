"""Read recordings: CSV or T4 JSON, also gzipped.

A CSV file has a column for each parameter, and `time_ms`, empty for a configuration that failed. Cells mean what they
mean to pandas.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from evotune.replay.recording import Recording, RecordingError
from evotune.replay.t4_results import read_t4
from evotune_workers.kernel.contract import Configuration, Value

TIME_COLUMN = "time_ms"
_SUFFIXES = (".csv", ".csv.gz", ".json", ".json.gz")
# Other files that are found beside recordings.
_NOT_RECORDINGS = ("index.json",)
_INTEGER, _NUMBER = re.compile(r"[+-]?\d+"), re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


def load_recordings(folder: Path) -> list[Recording]:
    """Return all recordings of a folder, in the order of their file names.

    Raises RecordingError if there is none, or one cannot be read.
    """
    paths = [path for path in sorted(folder.glob("*")) if path.name.endswith(_SUFFIXES)]
    recordings = [load_recording(path) for path in paths if path.name not in _NOT_RECORDINGS]
    if not recordings:
        raise RecordingError(f"a folder of recordings must hold files ending in {_endings()}, got none in {folder}")
    return recordings


def load_recording(path: Path) -> Recording:
    """Read one recording, named after its file. Raises RecordingError, which says what is wrong with it."""
    suffix = next((suffix for suffix in reversed(_SUFFIXES) if path.name.endswith(suffix)), None)
    if suffix is None:
        raise RecordingError(f"a recording must end in {_endings()}, got {path.name}")
    text = read_text(path)
    name = path.name.removesuffix(suffix)
    try:
        configurations, times = read_t4(text, name) if "json" in suffix else read_csv(text, name)
    except csv.Error as error:
        raise RecordingError(f"{name} must be CSV, got an error: {error}") from error
    return Recording.of(name, configurations, times)


def read_text(path: Path) -> str:
    """Read the text of a file, decompressed if its name ends in .gz. Raises RecordingError if it cannot be read."""
    try:
        written = gzip.decompress(path.read_bytes()) if path.name.endswith(".gz") else path.read_bytes()
        return written.decode("utf-8-sig")  # without the byte-order mark that Excel and PowerShell write
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise RecordingError(f"a recording must be a file that can be read, got {path}: {error}") from error


def read_csv(text: str, name: str) -> tuple[list[Configuration], list[float]]:
    """Return configurations and times in milliseconds, NaN for a failed one."""
    rows = csv.DictReader(io.StringIO(text, newline=""))
    _check_columns(rows.fieldnames or (), name)
    configurations: list[Configuration] = []
    times: list[float] = []
    for row in rows:
        if None in row or None in row.values():
            raise RecordingError(
                f"{name} must have a value in every column, got another number in line {rows.line_num}"
            )
        times.append(_time(row.pop(TIME_COLUMN), name, rows.line_num))
        empty = next((parameter for parameter, cell in row.items() if not cell.strip()), None)
        if empty is not None:
            raise RecordingError(
                f"{name} must have a value of every parameter, got an empty cell of {empty} in line {rows.line_num}"
            )
        configurations.append({parameter: _value(cell) for parameter, cell in row.items()})
    return configurations, times


def _check_columns(columns: Sequence[str], name: str) -> None:
    if TIME_COLUMN not in columns:
        raise RecordingError(f"{name} must have a column {TIME_COLUMN}, got {', '.join(columns)}")
    if any(not column.strip() for column in columns):
        place = [bool(column.strip()) for column in columns].index(False) + 1
        raise RecordingError(
            f"{name} must name every column, got none for column {place}: leave it out, as pandas does an index by"
            " to_csv(index=False), or name it"
        )
    twice = next((column for column, count in Counter(columns).items() if count > 1), None)
    if twice is not None:
        raise RecordingError(f"{name} must name each column once, got {twice!r} twice")


def _time(cell: str, name: str, line: int) -> float:
    if not cell:
        return math.nan
    try:
        time = float(cell)
    except ValueError:
        time = math.nan
    if not 0 < time < math.inf:
        raise RecordingError(f"{name} must have times above 0 or empty cells, got {cell!r} in line {line}")
    return time


def _value(cell: str) -> Value:
    """Return a number for one that is whole, also when it is written as 16.0 or 1e3."""
    plain = cell.strip()
    if plain.lower() in ("true", "false"):
        return plain.lower() == "true"
    if _INTEGER.fullmatch(plain):
        return int(plain)
    if _NUMBER.fullmatch(plain) and float(plain).is_integer():
        return int(float(plain))
    return cell


def _endings() -> str:
    return ", ".join(_SUFFIXES)
