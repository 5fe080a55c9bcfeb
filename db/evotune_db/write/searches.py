"""Record the course of a search: it starts and ends, its trials are proposed, built and measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from sqlalchemy import Connection, bindparam, select, update

from evotune_db.errors import DatabaseError
from evotune_db.lookups import in_chunks, not_found, now, one_row
from evotune_db.records import FINISHED, NewTrial, SearchRecord, SearchState
from evotune_db.rows import NEW_TRIAL_FIELDS, AnyRow, search_values, values
from evotune_db.schema.tables import kernel, search, space, trial
from evotune_db.write.statements import insert_if_new, insert_row, insert_rows, update_row

_SEARCH = select(search.c.id).where(search.c.id == bindparam("row_id"))
_NUMBERED = (trial.c.search_id == bindparam("of_search")) & trial.c.number.in_(bindparam("numbers", expanding=True))
_IDS = select(trial.c.number, trial.c.id).where(_NUMBERED)
_PROGRESS = (
    select(trial.c.id, trial.c.search_id, trial.c.state)
    .where(trial.c.id.in_(bindparam("trial_ids", expanding=True)))
    .order_by(trial.c.id)
    .with_for_update()
)
# The column `finished` is set exactly when the state is one of FINISHED, see schema/tables.py.
_UNFINISHED = (trial.c.id == bindparam("row_id")) & trial.c.finished.is_(None)
_MARK = update(trial).where(_UNFINISHED).values(state="measuring")


def start_search(connection: Connection, record: SearchRecord) -> int:
    """Insert a new running search; return its id."""
    kernel_values = {"name": record.kernel.name, "source_hash": record.kernel.source_hash}
    space_values = {"name": record.space.name, "hash": record.space.hash, "text": record.space.text}
    insert_if_new(connection, kernel, kernel_values)
    insert_if_new(connection, space, space_values)
    running = {**search_values(record), "state": "running", "started": now(), "finished": None}
    return insert_row(connection, search, running)


def resume_search(connection: Connection, search_id: int, budget: int) -> None:
    """Set a search running again, with this budget."""
    _require_search(connection, search_id)
    update_row(connection, search, search_id, {"state": "running", "finished": None, "budget": budget})


def finish_search(connection: Connection, search_id: int, state: SearchState) -> None:
    """Set a search to its final state."""
    _require_search(connection, search_id)
    update_row(connection, search, search_id, {"state": state, "finished": now()})


def add_trials(
    connection: Connection, search_id: int, trials: Sequence[NewTrial], state: Literal["proposed", "building"]
) -> tuple[int, ...]:
    """Insert new trials; return their ids in the order of `trials`."""
    _require_search(connection, search_id)
    common = {"search_id": search_id, "state": state, "own_binary": True, "proposed": now()}
    insert_rows(connection, trial, [{**values(proposed, NEW_TRIAL_FIELDS), **common} for proposed in trials])
    return ids_by_number(connection, search_id, [proposed.number for proposed in trials])


def ids_by_number(connection: Connection, search_id: int, numbers: Sequence[int]) -> tuple[int, ...]:
    """Return the ids of a search's trials with these numbers, in the order of `numbers`."""
    found = (connection.execute(_IDS, {"of_search": search_id, "numbers": some}) for some in in_chunks(numbers))
    ids = {row.number: row.id for rows in found for row in rows}
    return tuple(ids[number] for number in numbers)


def mark_measuring(connection: Connection, trial_ids: Sequence[int]) -> None:
    """Mark trials as being measured; raises as `require_unfinished` when one has its outcome."""
    wanted = sorted(set(trial_ids))
    if not wanted:
        return
    moved = connection.execute(_MARK, [{"row_id": trial_id} for trial_id in wanted]).rowcount
    if moved != len(wanted):
        require_unfinished(connection, wanted)


def require_unfinished(connection: Connection, trial_ids: Sequence[int]) -> None:
    """Lock trials in the order of their ids, so that two processes never wait for each other.

    Raises NotFoundError when one of them is missing, DatabaseError when one has its outcome.
    """
    for some in in_chunks(sorted(trial_ids)):
        found = {row.id: row for row in connection.execute(_PROGRESS, {"trial_ids": some})}
        for trial_id in some:
            _require_no_outcome(trial_id, found.get(trial_id))


def _require_no_outcome(trial_id: int, row: AnyRow | None) -> None:
    if row is None:
        raise not_found("trial", trial_id)
    if row.state in FINISHED:
        raise DatabaseError(
            f"a trial has one outcome, trial {trial_id} has one already ({row.state}); is search {row.search_id} "
            "running in another process?"
        )


def _require_search(connection: Connection, search_id: int) -> None:
    one_row(connection, _SEARCH, "search", search_id)
