"""The leaderboard as tables, with everything that its ranks share said once above them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.text import Text

from evotune.display.table import Fields, Table
from evotune.display.terminal import assignments, microseconds, parameter_value, percent, speedup

if TYPE_CHECKING:
    from evotune_db.records import LeaderboardEntry


def print_leaderboard(entries: Sequence[LeaderboardEntry], target: Console, *, hint: str) -> None:
    """Print the ranks of each kernel, workload, target and device; print `hint` where there are none."""
    if not entries:
        target.print(hint)
    for place, group in groupby(entries, key=lambda entry: (entry.kernel, entry.workload, entry.target, entry.device)):
        ranked = list(group)
        target.print(Text(" · ".join(place), style="bold"))
        target.print(_shared(ranked))
        target.print()
        for table in _tables(ranked, target):
            target.print(table)


def proof(entry: LeaderboardEntry) -> str:
    """Return what confirms an entry beyond its own measurement."""
    held = [name for name, holds in (("confirmed", entry.confirmed), ("certified", entry.certified)) if holds]
    return ", ".join(held) or "not confirmed"


def _shared(entries: Sequence[LeaderboardEntry]) -> Fields:
    result = Fields()
    if _alike(entry.baseline for entry in entries):
        result.add("baseline", entries[0].baseline)
    if _alike(map(proof, entries)):
        result.add("proof", proof(entries[0]))
    differing = _differing_parameters(entries)
    shared = {name: value for name, value in entries[0].configuration.items() if name not in differing}
    if shared:
        result.add("configuration" if len(entries) == 1 else "same in all", assignments(shared))
    return result


def _tables(entries: Sequence[LeaderboardEntry], target: Console) -> Iterator[RenderableType]:
    """Yield one table if it fits, else one of the ranking and one of the configurations."""
    ranking, configurations = _ranking_columns(entries), _parameter_columns(entries)
    whole = _table({**ranking, **configurations})
    if whole.fits(target) or not configurations:
        yield whole
    else:
        yield _table(ranking)
        yield _table({">trial": ranking[">trial"], **configurations})


def _table(columns: dict[str, list[str]], keys: int = 1) -> Table:
    result = Table(*columns, keys=keys)
    for cells in zip(*columns.values(), strict=True):
        result.add_row(*cells)
    return result


def _ranking_columns(entries: Sequence[LeaderboardEntry]) -> dict[str, list[str]]:
    """Return the cells of each column that is not about the configuration, by its name."""
    columns = {
        ">rank": [str(entry.rank) for entry in entries],
        ">trial": [str(entry.trial) for entry in entries],
        ">median": [microseconds(entry.median_us) for entry in entries],
        ">speed-up": [speedup(entry.speedup, entry.speedup_low, entry.speedup_high) for entry in entries],
        ">baseline": [microseconds(entry.baseline_us) for entry in entries],
    }
    if not _alike(entry.baseline for entry in entries):
        columns["baseline's name"] = [entry.baseline for entry in entries]
    if not _alike(map(proof, entries)):
        columns["proof"] = [proof(entry) for entry in entries]
    counters = {
        ">tensor pipe": [entry.tensor_active_pct for entry in entries],
        ">occupancy": [entry.achieved_occupancy_pct for entry in entries],
    }
    if any(value is not None for values in counters.values() for value in values):
        for name, values in counters.items():
            columns[name] = ["" if value is None else percent(value) for value in values]
    return columns


def _parameter_columns(entries: Sequence[LeaderboardEntry]) -> dict[str, list[str]]:
    """Return the values of each parameter that differs between the entries, by the name of its column."""
    columns = {}
    for name in _differing_parameters(entries):
        values = [entry.configuration.get(name) for entry in entries]
        figures = all(value is None or (isinstance(value, int) and not isinstance(value, bool)) for value in values)
        columns[f">{name}" if figures else name] = ["" if value is None else parameter_value(value) for value in values]
    return columns


def _differing_parameters(entries: Sequence[LeaderboardEntry]) -> list[str]:
    """Return the parameters that do not have one value in all entries, in the order of the best configuration."""
    names = dict.fromkeys(name for entry in entries for name in entry.configuration)
    return [name for name in names if not _alike(entry.configuration.get(name) for entry in entries)]


def _alike(values: Iterable[object]) -> bool:
    first, *others = values
    return all(value == first for value in others)
