"""The list of searches as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from evotune.display.table import Table
from evotune.display.terminal import MINUTES, microseconds
from evotune.planning.request import RECORDED

if TYPE_CHECKING:
    from evotune_db.records import SearchSummary

SHORT_TIME = "%m-%d %H:%M"


def print_searches(searches: Sequence[SearchSummary], target: Console) -> None:
    """Print a row for each search: all columns where they fit, else the most important ones."""
    if not searches:
        target.print("no search is recorded here; `evotune search` makes one")
        return
    whole = _all_columns(searches)
    target.print(whole if whole.fits(target) else _few_columns(searches))


def _few_columns(searches: Sequence[SearchSummary]) -> Table:
    """Return what a terminal has room for; `evotune show --search` has the rest."""
    result = Table(">id", "state", ">built", ">failed", ">best", "started", "kernel, workloads, target")
    for search in searches:
        result.add_row(
            str(search.id),
            search.state,
            f"{search.built}/{search.budget}",
            str(search.failed),
            _best_figure(search),
            search.started.strftime(SHORT_TIME),
            f"{search.kernel}, {', '.join(search.workloads)}, {search.target}",
        )
    return result


def _all_columns(searches: Sequence[SearchSummary]) -> Table:
    columns = (">id", "kernel", "workloads", "target", "sampler", ">seed", "state", "started", ">built", "outcomes")
    result = Table(*columns, "best")
    for search in searches:
        result.add_row(
            str(search.id),
            search.kernel,
            ", ".join(search.workloads),
            search.target,
            search.sampler,
            str(search.seed),
            search.state,
            search.started.strftime(MINUTES),
            f"{search.built}/{search.budget}",
            _outcomes(search),
            _best(search),
        )
    return result


def _outcomes(search: SearchSummary) -> str:
    only_built = search.built - search.passed - search.failed
    more = f", {only_built} built" if only_built else ""
    return f"{search.passed} passed, {search.failed} failed{more}"


def _best(search: SearchSummary) -> str:
    figure = _best_figure(search)
    if search.target == RECORDED and search.best_objective is not None:
        return f"{figure} recorded"
    return figure if search.best_speedup is None else f"{figure} (trial {search.best_trial})"


def _best_figure(search: SearchSummary) -> str:
    if search.target == RECORDED and search.best_objective is not None:
        return microseconds(1000 * search.best_objective)
    return "none" if search.best_speedup is None else f"{search.best_speedup:.2f}x"
