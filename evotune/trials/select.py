"""Select trials of the leaderboard for an export, and explain why none matches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evotune.errors import UserError
from evotune.planning.locate import kernel_folder
from evotune.planning.request import RECORDED
from evotune.suggestions import did_you_mean
from evotune_db.records import LeaderboardFilter

if TYPE_CHECKING:
    from evotune.export import Served
    from evotune_db import Database
    from evotune_db.records import LeaderboardEntry, SearchSummary, TrialDetails


@dataclass(frozen=True)
class Selected:
    """A trial with its place on the leaderboard and the folder of its kernel."""

    entry: LeaderboardEntry
    details: TrialDetails
    folder: Path


def select(database: Database, wanted: LeaderboardFilter) -> Selected:
    """Return the best entry that matches.

    Raises UserError when none does, and UnknownKernel when this machine lacks the folder of its kernel.
    """
    entries = database.leaderboard(wanted)
    if not entries:
        raise UserError(empty_hint(database, wanted))
    details = database.trial(entries[0].trial)
    return Selected(entries[0], details, folder_of(details))


def select_served(database: Database, wanted: LeaderboardFilter) -> Served:
    """Return the best entry that matches, as the one trial of a package that serves every shape."""
    from evotune.export import Served

    chosen = select(database, wanted)
    entry = chosen.entry
    alike = LeaderboardFilter(entry.kernel, entry.target, entry.device, entry.workload)
    best = max(database.leaderboard(alike), key=lambda each: each.speedup)
    return Served(entry, chosen.details, chosen.folder, best)


def select_portfolio(database: Database, wanted: LeaderboardFilter, within: float) -> list[Served]:
    """Return the trial that serves each matching workload in the smallest portfolio: see `choose_portfolio`.

    Raises UserError when nothing matches, and ExportError for matches of several kernels, targets or devices.
    """
    from evotune.export import Served, choose_portfolio

    entries = database.leaderboard(wanted)
    if not entries:
        raise UserError(empty_hint(database, wanted))
    served = []
    for choice in choose_portfolio(entries, within):
        details = database.trial(choice.entry.trial)
        served.append(Served(choice.entry, details, folder_of(details), choice.best, choice.by_sdpa))
    return served


def empty_hint(database: Database, wanted: LeaderboardFilter) -> str:
    """Return a line for a filter that matches no entry, with the nearest name if one was misspelt."""
    if wanted.trial is not None:
        state = database.trial(wanted.trial).trial.state
        outside = f"trial {wanted.trial} ({state}) is not on the leaderboard or does not fit"
        return f"{outside}; see `evotune show {wanted.trial}`"
    searches = database.searches()
    replays = [search for search in searches if _may_hold(search, wanted)]
    if replays and all(search.target == RECORDED for search in replays):
        none = f"search {replays[-1].id} was of a recording: nothing was checked or timed, and none of it is ranked"
        return f"{none}; see `evotune show --search {replays[-1].id}`"
    known = {
        "kernel": (wanted.kernel, {search.kernel for search in searches}),
        "target": (wanted.target, {search.target for search in searches}),
        "workload": (wanted.workload, {workload for search in searches for workload in search.workloads}),
    }
    for what, (name, names) in known.items():
        if name is not None and searches and name not in names:
            return f"no search here had the {what} {name}; {did_you_mean(name, names)}"
    return "no trial on the leaderboard fits; `evotune search` puts trials there, `evotune searches` lists what ran"


def _may_hold(search: SearchSummary, wanted: LeaderboardFilter) -> bool:
    pairs = ((wanted.search, search.id), (wanted.kernel, search.kernel), (wanted.target, search.target))
    return all(asked is None or asked == has for asked, has in pairs)


def folder_of(details: TrialDetails) -> Path:
    """Return the kernel's folder that the search recorded; where it is missing, the built-in kernel of that name."""
    recorded = Path(details.record.options["kernel"])
    return recorded if (recorded / "kernel.py").is_file() else kernel_folder(details.record.kernel.name)
