"""Writes as a search goes on: it begins and ends, its trials are proposed, built and measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from sqlalchemy import Connection, bindparam, select, update

from evotune_db.errors import DatabaseError
from evotune_db.records import SearchRecord, SearchState
from evotune_db.rows import search_values
from evotune_db.schema import kernel, search, space, trial
from evotune_db.statements import insert_if_new, insert_row, now, only, update_row

FINISHED = ("passed", "failed", "built")
_SEARCH = select(search.c.id).where(search.c.id == bindparam("row_id"))
_PROGRESS = select(trial.c.search_id, trial.c.state).where(trial.c.id == bindparam("row_id")).with_for_update()
_UNFINISHED = (trial.c.id == bindparam("row_id")) & trial.c.state.not_in(FINISHED)
_MARK = update(trial).where(_UNFINISHED).values(state=bindparam("reached"))


def start_search(connection: Connection, record: SearchRecord) -> int:
    """A new running search; returns its id."""
    kernel_values = {"name": record.kernel.name, "source_hash": record.kernel.source_hash}
    space_values = {"name": record.space.name, "hash": record.space.hash, "text": record.space.text}
    insert_if_new(connection, kernel, kernel_values)
    insert_if_new(connection, space, space_values)
    values = {**search_values(record), "state": "running", "started": now(), "finished": None}
    return insert_row(connection, search, values)


def resume_search(connection: Connection, search_id: int, budget: int) -> None:
    """Sets a search running again, with this budget."""
    _require_search(connection, search_id)
    update_row(connection, search, search_id, {"state": "running", "finished": None, "budget": budget})


def finish_search(connection: Connection, search_id: int, state: SearchState) -> None:
    """Ends a search."""
    _require_search(connection, search_id)
    update_row(connection, search, search_id, {"state": state, "finished": now()})


def add_trial(
    connection: Connection,
    search_id: int,
    number: int,
    configuration: Mapping[str, Any],
    configuration_key: str,
    state: Literal["proposed", "building"],
) -> int:
    """A new trial; returns its id."""
    _require_search(connection, search_id)
    values = {
        "search_id": search_id,
        "number": number,
        "configuration": configuration,
        "configuration_key": configuration_key,
        "state": state,
        "own_binary": True,
        "proposed": now(),
    }
    return insert_row(connection, trial, values)


def mark(connection: Connection, trial_id: int, state: Literal["building", "measuring"]) -> None:
    """Moves a trial without an outcome to that state."""
    if connection.execute(_MARK, {"row_id": trial_id, "reached": state}).rowcount == 0:
        require_unfinished(connection, trial_id)


def require_unfinished(connection: Connection, trial_id: int) -> int:
    """The search of a trial that has no outcome yet.

    Raises NotFoundError when there is no such trial, DatabaseError when it has its outcome.
    """
    row = only(connection, _PROGRESS, "trial", trial_id)
    if row.state in FINISHED:
        raise DatabaseError(
            f"a trial has one outcome, trial {trial_id} has one already ({row.state}); is search {row.search_id} "
            "running in another process?"
        )
    return int(row.search_id)


def _require_search(connection: Connection, search_id: int) -> None:
    only(connection, _SEARCH, "search", search_id)
