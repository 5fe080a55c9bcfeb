"""The leaderboard and the list of searches, as tables, JSON or CSV."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from rich import box
from rich.console import Console
from rich.table import Table

from evotune.commands.options import Format
from evotune.display import serialise
from evotune.display.terminal import assignments, changes, console, microseconds, speedup
from evotune.planning.request import RECORDED

if TYPE_CHECKING:
    from evotune_db.records import LeaderboardEntry, SearchSummary

Record = TypeVar("Record")
RANKING = (">rank", ">trial", ">median", "speed-up", "baseline")
TIME, SHORT_TIME = "%Y-%m-%d %H:%M", "%m-%d %H:%M"


def write_leaderboard(
    entries: Sequence[LeaderboardEntry], hint: str, kind: type[LeaderboardEntry], format: Format
) -> None:
    """Writes ranked trials to standard output; in tables, one a kernel, workload, target and device, `hint` if none."""
    write_list(entries, kind, format, partial(_print_leaderboard, hint))


def write_searches(searches: Sequence[SearchSummary], kind: type[SearchSummary], format: Format) -> None:
    """Writes the list of searches to standard output."""
    write_list(searches, kind, format, _print_searches)


def write_list(
    records: Sequence[Record],
    kind: type[Record],
    format: Format,
    print_table: Callable[[Sequence[Record], Console], None],
) -> None:
    """Writes dataclasses of one kind to standard output: their fields are JSON's keys and CSV's columns."""
    if format is Format.JSON:
        serialise.write_json(list(records), sys.stdout)
    elif format is Format.CSV:
        serialise.write_csv(_columns(kind), [serialise.fields(record) for record in records], sys.stdout)
    else:
        print_table(records, console(sys.stdout))


def table(*columns: str, title: str | None = None) -> Table:
    """An empty table in the one style of the project; a column whose name begins with `>` is right-aligned.

    Those and the first are never wrapped: figures and names.
    """
    result = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
    for number, column in enumerate(columns):
        figures = column.startswith(">")
        justify: Literal["left", "right"] = "right" if figures else "left"
        result.add_column(column.lstrip(">"), justify=justify, overflow="fold", no_wrap=figures or number == 0)
    return result


def percent(value: float) -> str:
    """A percentage, such as `41.5%`."""
    return f"{value:.1f}%"


def proof(entry: LeaderboardEntry) -> str:
    """How well an entry is proven beyond its own measurement."""
    held = [name for name, holds in (("confirmed", entry.confirmed), ("certified", entry.certified)) if holds]
    return ", ".join(held) or "not confirmed"


def _columns(kind: type[Any]) -> list[str]:
    return list(kind.__dataclass_fields__)


def _print_leaderboard(hint: str, entries: Sequence[LeaderboardEntry], target: Console) -> None:
    if not entries:
        target.print(hint)
    for place, group in groupby(entries, key=lambda entry: (entry.kernel, entry.workload, entry.target, entry.device)):
        ranked, title = list(group), " · ".join(place)
        if target.is_terminal:
            target.print(_ranking(title, ranked))
            target.print(_configurations(ranked))
        else:
            target.print(_wide_ranking(title, ranked))


def _wide_ranking(title: str, entries: Sequence[LeaderboardEntry]) -> Table:
    """A trial is a line, all of it."""
    counters = (">tensor pipe", ">occupancy") if any(map(_counters, entries)) else ()
    result = table(*RANKING, "proof", *counters, "configuration", title=title)
    for entry in entries:
        counted = _counters(entry) or ("",) * len(counters)
        result.add_row(*_ranking_cells(entry), proof(entry), *counted, assignments(entry.configuration))
    return result


def _ranking(title: str, entries: Sequence[LeaderboardEntry]) -> Table:
    result = table(*RANKING, title=title)
    for entry in entries:
        result.add_row(*_ranking_cells(entry))
    return result


def _ranking_cells(entry: LeaderboardEntry) -> tuple[str, ...]:
    return (
        str(entry.rank),
        str(entry.trial),
        microseconds(entry.median_us),
        speedup(entry.speedup, entry.speedup_low, entry.speedup_high),
        f"{microseconds(entry.baseline_us)} {entry.baseline}",
    )


def _configurations(entries: Sequence[LeaderboardEntry]) -> Table:
    """With how they are proven: the best one's, and what the others have in its place."""
    best, *others = entries
    result = table(">trial", "proof", "configuration")
    result.columns[1].min_width = len("confirmed,")
    result.add_row(str(best.trial), _all_proof(best), assignments(best.configuration))
    for entry in others:
        told = changes(entry.configuration, best.configuration, str(best.trial))
        result.add_row(str(entry.trial), _all_proof(entry), told)
    return result


def _all_proof(entry: LeaderboardEntry) -> str:
    counted = zip(("tensor pipe", "occupancy"), _counters(entry), strict=False)
    return "\n".join([proof(entry), *(f"{name} {value}" for name, value in counted if value)])


def _counters(entry: LeaderboardEntry) -> tuple[str, ...]:
    """The entry's hardware counters, nothing when none was read."""
    values = (entry.tensor_active_pct, entry.achieved_occupancy_pct)
    if values == (None, None):
        return ()
    return tuple("" if value is None else percent(value) for value in values)


def _print_searches(searches: Sequence[SearchSummary], target: Console) -> None:
    if not searches:
        target.print("no search is recorded here; `evotune search` makes one")
        return
    target.print(_narrow_searches(searches) if target.is_terminal else _wide_searches(searches))


def _narrow_searches(searches: Sequence[SearchSummary]) -> Table:
    """What a terminal has room for; `evotune show --search` has the rest."""
    result = table(">id", "state", ">built", ">failed", ">best", "started", "what")
    result.columns[1].no_wrap = True
    for search in searches:
        result.add_row(
            str(search.id),
            search.state,
            f"{search.built}/{search.budget}",
            str(search.failed),
            _best_figure(search),
            search.started.strftime(SHORT_TIME),
            f"{search.kernel} {', '.join(search.workloads)} {search.target}",
        )
    return result


def _wide_searches(searches: Sequence[SearchSummary]) -> Table:
    columns = (">id", "kernel", "workloads", "target", "sampler", ">seed", "state", "started", ">built", "outcomes")
    result = table(*columns, "best")
    for search in searches:
        result.add_row(*_search_cells(search))
    return result


def _search_cells(search: SearchSummary) -> list[str]:
    only_built = search.built - search.passed - search.failed
    more = f", {only_built} built" if only_built else ""
    return [
        str(search.id),
        search.kernel,
        ", ".join(search.workloads),
        search.target,
        search.sampler,
        str(search.seed),
        search.state,
        search.started.strftime(TIME),
        f"{search.built}/{search.budget}",
        f"{search.passed} passed, {search.failed} failed{more}",
        _best(search),
    ]


def _best(search: SearchSummary) -> str:
    figure = _best_figure(search)
    if search.target == RECORDED and search.best_objective is not None:
        return f"{figure} recorded"
    return figure if search.best_speedup is None else f"{figure} (trial {search.best_trial})"


def _best_figure(search: SearchSummary) -> str:
    if search.target == RECORDED and search.best_objective is not None:
        return microseconds(1000 * search.best_objective)
    return "none" if search.best_speedup is None else f"{search.best_speedup:.2f}x"
