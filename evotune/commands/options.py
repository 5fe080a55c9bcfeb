"""Options that commands share, and how their values are read: a bad one is told in one line, with what was given."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, TypeVar

import typer

from evotune import database_url
from evotune.suggestions import did_you_mean

Choice = TypeVar("Choice", bound=StrEnum)


class Format(StrEnum):
    """How a list is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


class DetailFormat(StrEnum):
    """How one thing with parts is written; CSV has no room for parts."""

    TABLE = "table"
    JSON = "json"


class ExportFormat(StrEnum):
    """What an export makes."""

    PACKAGE = "package"
    T4 = "t4"


def count(given: str | int) -> int:
    """A whole number of at least 1."""
    number = whole(given)
    if number < 1:
        raise typer.BadParameter(f"must be a whole number of at least 1, got {given}")
    return number


def whole(given: str | int) -> int:
    """A whole number of at least 0. Typer reads defaults, too, by the reader of their option."""
    text = str(given)
    if not (text.isascii() and text.isdigit()):
        raise typer.BadParameter(f"must be a whole number, got {given}")
    return int(text)


def trial_or_baseline(given: str) -> int | None:
    """A trial's number; None for "baseline"."""
    if given == "baseline":
        return None
    try:
        return count(given)
    except typer.BadParameter:
        raise typer.BadParameter(f"must be a trial's number or `baseline`, got {given}") from None


def seconds(text: str) -> float:
    """A number of seconds above 0."""
    try:
        value = float(text)
    except ValueError:
        raise typer.BadParameter(f"must be a number of seconds, got {text}") from None
    if not 0 < value < float("inf"):
        raise typer.BadParameter(f"must be a number of seconds above 0, got {text}")
    return value


def share(text: str) -> float:
    """A share as a percentage, such as 3%, or as a number below 1."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise typer.BadParameter(f"must be a percentage such as 3%, got {text}") from None
    if not 0 <= value < 1:
        raise typer.BadParameter(f"must be from 0% to below 100%, got {text}")
    return value


def choice(kind: type[Choice]) -> Callable[[str], Choice]:
    """A reader of one of the values of `kind`."""

    def read(text: str) -> Choice:
        try:
            return kind(text)
        except ValueError:
            rule = f"must be one of {', '.join(kind)}, got {text}"
            raise typer.BadParameter(f"{rule}; {did_you_mean(text, [str(value) for value in kind])}") from None

    return read


DbOption = Annotated[
    str,
    typer.Option("--db", metavar="URL", envvar=database_url.VARIABLE, help="Database: a file or an SQLAlchemy URL."),
]
FormatOption = Annotated[
    Format,
    typer.Option("--format", parser=choice(Format), metavar="table|json|csv", help="How the list is written."),
]
DetailFormatOption = Annotated[
    DetailFormat,
    typer.Option("--format", parser=choice(DetailFormat), metavar="table|json", help="How it is written."),
]
KernelOption = Annotated[str | None, typer.Option("--kernel", metavar="K", help="Only this kernel.")]
TargetOption = Annotated[str | None, typer.Option("--target", metavar="T", help="Only this target, such as cpu.")]
DeviceOption = Annotated[str | None, typer.Option("--device", metavar="D", help="Only this device, by its name.")]
WorkloadOption = Annotated[str | None, typer.Option("--workload", metavar="W", help="Only this workload.")]
SearchOption = Annotated[int | None, typer.Option("--search", parser=count, metavar="ID", help="Only this search.")]
