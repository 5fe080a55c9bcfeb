"""The summary of a search that only builds: failures by reason, the spread of each figure, and a query."""

from __future__ import annotations

import shlex
from collections import Counter
from typing import TYPE_CHECKING

from evotune import database_url

if TYPE_CHECKING:
    from evotune.search.result import BuildFigures, SearchResult, Spread

REASONS_SHOWN = 5
TITLES = {
    "registers": "registers",
    "spill_stores": "spill stores, bytes",
    "spill_loads": "spill loads, bytes",
    "stack_bytes": "stack, bytes",
    "shared_bytes": "shared memory, bytes",
    "seconds": "time to compile, s",
}
COLUMNS = ("least", "median", "9 in 10", "most")


def table(figures: BuildFigures) -> list[str]:
    """Return lines on the failures, the builds without spills, and the spread of each figure over the builds."""
    lines = _failures(figures)
    if not figures.built:
        return lines
    lines.append(f"  {figures.without_spills} of {figures.built} spill no register")
    lines.append(f"  {'':20}" + "".join(f"{column:>10}" for column in COLUMNS))
    return lines + [f"  {TITLES[name]:20}" + _cells(name, spread) for name, spread in figures.spreads.items()]


def commands(result: SearchResult) -> list[str]:
    """Return the commands that show one trial and the figures of all trials."""
    db = database_url.option(result.db)
    query = (
        "SELECT trial.id, trial.state, registers, spill_stores, spill_loads, stack_bytes, shared_bytes, "
        "configuration_key FROM trial LEFT JOIN build ON build.id = trial.build_id "
        f"WHERE search_id = {result.search_id} ORDER BY trial.id"
    )
    return [
        f"see one:    evotune show TRIAL{db}",
        f"see all:    {_client(result.db)} {shlex.quote(query)}",
    ]


def _failures(figures: BuildFigures) -> list[str]:
    shown = Counter(figures.failures).most_common(REASONS_SHOWN)
    lines = [f"  {count} failed: {reason}" for reason, count in shown]
    others = sum(figures.failures.values()) - sum(count for _, count in shown)
    if others:
        lines.append(f"  {others} failed for {len(figures.failures) - len(shown)} other reasons")
    return lines


def _cells(name: str, spread: Spread) -> str:
    digits = 1 if name == "seconds" else 0
    values = (spread.least, spread.median, spread.nine_in_ten, spread.most)
    return "".join(f"{value:>10.{digits}f}" for value in values)


def _client(db: str) -> str:
    """Return the command-line client of the database; it asks for a password."""
    file = database_url.sqlite_file(db)
    if file is not None:
        return f"sqlite3 -header -column {shlex.quote(str(file))}"
    return f"psql {shlex.quote(database_url.shown(db))} -c"
