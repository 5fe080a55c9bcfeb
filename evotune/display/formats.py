"""The formats of a list and of one record, and the functions that write each of them to standard output."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from evotune.display import serialise

if TYPE_CHECKING:
    from rich.console import Console

Record = TypeVar("Record")


class Format(StrEnum):
    """The format of a list."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


class DetailFormat(StrEnum):
    """The format of one record with parts, which CSV has no room for."""

    TABLE = "table"
    JSON = "json"


def write_list(
    records: Sequence[Record],
    kind: type[Record],
    format: Format,
    print_table: Callable[[Sequence[Record], Console], None],
) -> None:
    """Write dataclasses of one kind; their fields are the keys of JSON and the columns of CSV."""
    if format is Format.JSON:
        serialise.write_json(list(records), sys.stdout)
    elif format is Format.CSV:
        serialise.write_csv(_columns(kind), [serialise.fields(record) for record in records], sys.stdout)
    else:
        _print(print_table, records)


def write_details(record: Record, format: DetailFormat, print_tables: Callable[[Record, Console], None]) -> None:
    """Write one dataclass with all its parts."""
    if format is DetailFormat.JSON:
        serialise.write_json(record, sys.stdout)
    else:
        _print(print_tables, record)


def _print(print_tables: Callable[[Any, Console], None], records: object) -> None:
    from evotune.display.terminal import console

    print_tables(records, console(sys.stdout))


def _columns(kind: type[Any]) -> list[str]:
    return list(kind.__dataclass_fields__)
