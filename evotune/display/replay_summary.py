"""The summary of a search of a recorded space, and the commands to continue with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evotune import database_url
from evotune.display.terminal import assignments, recorded

if TYPE_CHECKING:
    from evotune.search.result import ReplayFigures, SearchResult


def lines(figures: ReplayFigures) -> list[str]:
    """Return lines on the best, the trials needed to come near the optimum, and that nothing was measured."""
    return [
        *_best(figures),
        f"  {_near(figures)}",
        f"  times are those of {figures.recording}; nothing was built, checked or timed here, and the leaderboard has "
        "none of it",
    ]


def commands(result: SearchResult) -> list[str]:
    """Return the commands that show the search, and all searches."""
    db = database_url.option(result.db)
    return [f"see it:     evotune show --search {result.search_id}{db}", f"see others: evotune searches{db}"]


def _best(figures: ReplayFigures) -> list[str]:
    if figures.best_ms is None:
        return ["best: none, no configuration that was looked up had passed"]
    found = recorded(figures.best_ms, figures.optimum_ms)
    return [f"best: trial {figures.best_trial}, {found}", f"  {assignments(figures.best_configuration)}"]


def _near(figures: ReplayFigures) -> str:
    near = f"within 5 % of the optimum of {figures.configurations} configurations"
    if figures.to_5_percent is None:
        return f"{near}: not reached"
    return f"{near}: after {figures.to_5_percent} {'trial' if figures.to_5_percent == 1 else 'trials'}"
