"""Tables and lists of fields, laid out for where they go: a terminal of some width, or a pipe."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from typing import Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table as RichTable
from rich.text import Text

from evotune.errors import one_line

GAP = "  "
# A column of text is never made narrower than this, nor than its longest word if that is not over LONG_WORD.
TEXT_WIDTH, LONG_WORD = 16, 24
# Stands for an empty cell in a pipe, so that every line has the same number of columns.
EMPTY = "-"
# A long column name may be broken after each of these pieces.
NAME_PIECES = re.compile(r"[^_ ]+_?|_")


@dataclass(frozen=True)
class _Column:
    """One column with its cells. Figures are right-aligned and never wrapped."""

    name: str
    figures: bool
    cells: list[str] = field(default_factory=list)

    @property
    def widest_cell(self) -> int:
        return max((_width(cell) for cell in self.cells), default=0)

    @property
    def natural_width(self) -> int:
        """The width at which nothing is wrapped."""
        return max(cell_len(self.name), self.widest_cell)

    @property
    def least_width(self) -> int:
        """The width below which the column is hard to read."""
        name = max((len(piece) for piece in NAME_PIECES.findall(self.name)), default=0)
        if self.figures:
            return max(name, self.widest_cell)
        words = max((cell_len(word) for cell in self.cells for word in cell.split()), default=0)
        return max(name, min(words, LONG_WORD), min(self.widest_cell, TEXT_WIDTH))

    def name_within(self, width: int) -> str:
        """Return the name, broken into lines of at most `width`."""
        lines = [""]
        for piece in NAME_PIECES.findall(self.name):
            word = f" {piece}" if lines[-1] and not lines[-1].endswith("_") else piece
            if lines[-1] and len(lines[-1] + word) > width:
                lines.append(piece)
            else:
                lines[-1] += word
        return "\n".join(lines)


class Table:
    """Rows under named columns.

    A pipe gets the header once and a line a row, in columns separated by at least two blanks. A terminal wraps columns
    of text. Columns that still do not fit continue in a further table below. It repeats the first `keys` columns, and
    leaves out rows without a value there.
    """

    def __init__(self, *columns: str, title: str | None = None, keys: int = 1) -> None:
        """Make an empty table. A column whose name begins with `>` holds figures."""
        self._columns = [_Column(name.removeprefix(">"), name.startswith(">")) for name in columns]
        self._title, self._keys = title, keys

    def add_row(self, *cells: str) -> None:
        """Add a row; the cells that are left out at its end are empty."""
        for column, cell in zip(self._columns, (*cells, *[""] * (len(self._columns) - len(cells))), strict=True):
            column.cells.append(cell)

    def fits(self, console: Console) -> bool:
        """Return True if `console` has room for every column without wrapping a cell; a pipe has no end."""
        return not console.is_terminal or _total(column.natural_width for column in self._columns) <= console.width

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the title and the table, and a blank line that separates them from what follows."""
        if self._title is not None:
            yield Text(self._title, style="bold")
        if console.is_terminal:
            yield from (_ruled(part, options.max_width) for part in self._parts(options.max_width))
        else:
            yield from map(Text, [*self._lines(), ""])

    def _lines(self) -> Iterator[str]:
        columns = [[column.name, *(one_line(cell) or EMPTY for cell in column.cells)] for column in self._columns]
        widths = [max(map(cell_len, cells)) for cells in columns]
        for row in zip(*columns, strict=True):
            padded = map(_pad, row, widths, (column.figures for column in self._columns))
            yield GAP.join(padded).rstrip()

    def _parts(self, width: int) -> Iterator[Sequence[_Column]]:
        """Yield the columns of each of the tables that are needed at this width."""
        keys, rest = self._columns[: self._keys], self._columns[self._keys :]
        start = end = 0
        while end < len(rest):
            end += 1
            if end - start > 1 and not _fit(_filled_rows(keys, rest[start:end]), width):
                yield _filled_rows(keys, rest[start : end - 1])
                start = end = end - 1
        yield _filled_rows(keys, rest[start:])


class Fields:
    """Names and values, one of each a line. A terminal wraps a long value under itself."""

    def __init__(self) -> None:
        """Make an empty list."""
        self._fields: list[tuple[str, str]] = []

    def add(self, name: str, value: str) -> None:
        """Add a field; an empty name continues the field above it."""
        self._fields.append((name, value))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield a line for each field."""
        width = max((len(name) for name, _ in self._fields), default=0)
        if not console.is_terminal:
            yield from (Text(f"{name:{width}}{GAP}{one_line(value)}".rstrip()) for name, value in self._fields)
            return
        grid = RichTable.grid(padding=(0, len(GAP)))
        for name, value in self._fields:
            grid.add_row(name, Text(value))
        yield grid


def _filled_rows(keys: Sequence[_Column], rest: Sequence[_Column]) -> list[_Column]:
    """Return these columns without the rows that have nothing in `rest`."""
    filled = [any(cells) for cells in zip(*(column.cells for column in rest), strict=True)]
    return [replace(column, cells=list(compress(column.cells, filled))) for column in (*keys, *rest)]


def _fit(columns: Sequence[_Column], width: int) -> bool:
    return _total(column.least_width for column in columns) <= width


def _ruled(columns: Sequence[_Column], width: int) -> RichTable:
    """Return a table for a terminal, with a rule below its header."""
    result = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    widths = _widths(columns, width)
    for column, each in zip(columns, widths, strict=True):
        justify: Literal["left", "right"] = "right" if column.figures else "left"
        result.add_column(column.name_within(each), justify=justify, overflow="fold", width=each)
    for cells in zip(*(column.cells for column in columns), strict=True):
        result.add_row(*map(Text, cells))
    result.add_row()
    return result


def _widths(columns: Sequence[_Column], width: int) -> list[int]:
    """Return the least width of each column plus its part of what the terminal has left."""
    widths = [column.least_width for column in columns]
    left = max(0, width - _total(widths))
    wanting = sorted(range(len(columns)), key=lambda index: columns[index].natural_width - widths[index])
    for position, index in enumerate(wanting):
        more = min(columns[index].natural_width - widths[index], left // (len(wanting) - position))
        widths[index] += more
        left -= more
    return widths


def _total(widths: Iterable[int]) -> int:
    each = list(widths)
    return sum(each) + len(GAP) * (len(each) - 1)


def _width(text: str) -> int:
    return max(map(cell_len, text.split("\n")))


def _pad(text: str, width: int, right: bool) -> str:
    blanks = " " * (width - cell_len(text))
    return blanks + text if right else text + blanks
