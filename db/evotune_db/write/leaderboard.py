"""Insert and replace leaderboard entries, each selected from the rows that it refers to."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from sqlalchemy import ColumnElement, Connection, Insert, Select, bindparam, false, func, select

from evotune_db.lookups import in_chunks
from evotune_db.schema.finding_tables import certification
from evotune_db.schema.tables import device, leaderboard, search, timing, trial
from evotune_db.write.statements import dialect_insert

ENTRY = {
    "trial_id": trial.c.id,
    "search_id": trial.c.search_id,
    "trial_state": trial.c.state,
    "own_binary": trial.c.own_binary,
    "kernel": search.c.kernel,
    "target": search.c.target,
    "workload": timing.c.workload,
    "device_id": timing.c.device_id,
    "device": device.c.name,
    "timing_id": timing.c.id,
    "timing_phase": timing.c.phase,
    "timing_complete": timing.c.complete,
    "speedup": timing.c.speedup,
    "confirmed": timing.c.phase == "confirm",
    "certified": func.coalesce(certification.c.passed, false()),
    "build_id": timing.c.build_id,
    "certification_id": certification.c.id,
}
# An entry that changes to another timing of its trial changes all of these columns.
MEASURED = (
    *("device_id", "device", "timing_id", "timing_phase", "timing_complete", "speedup", "confirmed"),
    *("certified", "build_id", "certification_id"),
)


def add_entries(connection: Connection, trial_ids: Sequence[int]) -> None:
    """Insert an entry for each timing that qualifies of trials with a new outcome.

    All evidence of the phase `search` belongs to the new outcome, since that of a lost outcome has the phase `suspect`.
    """
    for some in in_chunks(trial_ids):
        connection.execute(_adding(), {"trial_ids": some})


def replace_entries(connection: Connection, timing_ids: Sequence[int]) -> None:
    """Insert an entry for each timing that qualifies; it replaces the trial's entry for that workload."""
    if timing_ids:
        connection.execute(_replacing(connection.dialect.name), {"timing_ids": timing_ids})


@cache
def _adding() -> Insert:
    new = timing.c.trial_id.in_(bindparam("trial_ids", expanding=True)) & (timing.c.phase == "search")
    return leaderboard.insert().from_select(list(ENTRY), _qualifying(new))


@cache
def _replacing(dialect: str) -> Insert:
    confirming = timing.c.id.in_(bindparam("timing_ids", expanding=True))
    new = dialect_insert(dialect, leaderboard).from_select(list(ENTRY), _qualifying(confirming))
    taken = {name: new.excluded[name] for name in MEASURED}
    return new.on_conflict_do_update(index_elements=["trial_id", "workload"], set_=taken)


def _qualifying(wanted: ColumnElement[bool]) -> Select[*tuple[object, ...]]:
    """Select the entries of the wanted timings that qualify: complete, of a passed trial with its own binary."""
    made = certification.alias()
    same_build = (made.c.trial_id == timing.c.trial_id) & (made.c.build_id == timing.c.build_id)
    latest = select(func.max(made.c.id)).where(same_build).correlate(timing).scalar_subquery()
    return (
        select(*ENTRY.values())
        .join_from(timing, trial, timing.c.trial_id == trial.c.id)
        .join(search, trial.c.search_id == search.c.id)
        .join(device, timing.c.device_id == device.c.id)
        .outerjoin(certification, certification.c.id == latest)
        .where(wanted, timing.c.complete, trial.c.state == "passed", trial.c.own_binary)
    )
