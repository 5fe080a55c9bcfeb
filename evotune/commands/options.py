"""Options that commands share, and readers of their values; a bad value is one line with the value received."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, TypeVar

import typer

from evotune import database_url
from evotune.display.formats import DetailFormat, Format
from evotune.suggestions import did_you_mean

Choice = TypeVar("Choice", bound=StrEnum)


class ExportFormat(StrEnum):
    """The kind of file that an export writes."""

    PACKAGE = "package"
    T4 = "t4"


def count(value: str | int) -> int:
    """Read a whole number of at least 1."""
    number = whole(value)
    if number < 1:
        raise typer.BadParameter(f"must be a whole number of at least 1, got {value}")
    return number


def whole(value: str | int) -> int:
    """Read a whole number of at least 0. Typer passes a default, which is a number, to the reader of its option."""
    text = str(value)
    if not (text.isascii() and text.isdigit()):
        raise typer.BadParameter(f"must be a whole number, got {value}")
    return int(text)


def trial_or_baseline(text: str) -> int | None:
    """Read a trial's number; return None for `baseline`."""
    if text == "baseline":
        return None
    try:
        return count(text)
    except typer.BadParameter:
        raise typer.BadParameter(f"must be a trial's number or `baseline`, got {text}") from None


def seconds(text: str) -> float:
    """Read a number of seconds above 0."""
    try:
        value = float(text)
    except ValueError:
        raise typer.BadParameter(f"must be a number of seconds, got {text}") from None
    if not 0 < value < float("inf"):
        raise typer.BadParameter(f"must be a number of seconds above 0, got {text}")
    return value


def fraction(text: str) -> float:
    """Read a fraction, written as a percentage such as 3% or as a number below 1."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise typer.BadParameter(f"must be a percentage such as 3%, got {text}") from None
    if not 0 <= value < 1:
        raise typer.BadParameter(f"must be from 0% to below 100%, got {text}")
    return value


def choice(kind: type[Choice]) -> Callable[[str], Choice]:
    """Return a reader of one of the values of `kind`."""

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
    typer.Option("--format", parser=choice(Format), metavar="table|json|csv", help="Format of the list."),
]
DetailFormatOption = Annotated[
    DetailFormat,
    typer.Option("--format", parser=choice(DetailFormat), metavar="table|json", help="Format of the output."),
]
KernelOption = Annotated[str | None, typer.Option("--kernel", metavar="K", help="Only this kernel.")]
TargetOption = Annotated[str | None, typer.Option("--target", metavar="T", help="Only this target, such as cpu.")]
DeviceOption = Annotated[str | None, typer.Option("--device", metavar="D", help="Only this device, by its name.")]
WorkloadOption = Annotated[str | None, typer.Option("--workload", metavar="W", help="Only this workload.")]
SearchOption = Annotated[int | None, typer.Option("--search", parser=count, metavar="ID", help="Only this search.")]
