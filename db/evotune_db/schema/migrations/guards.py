"""Enforce composite foreign keys on SQLite by triggers too, as of each revision that changed them.

SQLite enforces foreign keys only for clients that ask for it, which its own shell does not; it runs triggers for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from sqlalchemy import Connection


class Reference(NamedTuple):
    """Columns of a child that must match one row of a parent, unless the column with the parent's id is NULL.

    `keys` are the parent's unique keys: REPLACE deletes the rows that it collides with, and fires no delete trigger.
    """

    child: str
    parent: str
    columns: Mapping[str, str]
    keys: tuple[tuple[str, ...], ...] = (("id",),)

    @property
    def id_column(self) -> str:
        """The child's column with the id of the parent's row."""
        return next(ours for ours, theirs in self.columns.items() if theirs == "id")


TRIAL = Reference(
    "leaderboard",
    "trial",
    {"trial_id": "id", "search_id": "search_id", "trial_state": "state", "own_binary": "own_binary"},
    (("id",), ("search_id", "number"), ("search_id", "configuration_key")),
)
TIMING = Reference(
    "leaderboard",
    "timing",
    {
        **{"timing_id": "id", "trial_id": "trial_id", "workload": "workload", "device_id": "device_id"},
        **{"speedup": "speedup", "timing_phase": "phase", "timing_complete": "complete"},
    },
)
SEARCH = Reference("leaderboard", "search", {"search_id": "id", "kernel": "kernel", "target": "target"})
DEVICE = Reference("leaderboard", "device", {"device_id": "id", "device": "name"}, (("id",), ("hash",)))
TIMED_BUILD = TIMING._replace(columns={**TIMING.columns, "build_id": "build_id"})
CERTIFICATION = Reference(
    "leaderboard",
    "certification",
    {"certification_id": "id", "trial_id": "trial_id", "build_id": "build_id", "certified": "passed"},
)
CHECK = Reference("certification_check", "certification", {"certification_id": "id", "certification_passed": "passed"})

AT_0002 = (TRIAL, TIMING, SEARCH, DEVICE)
AT_0003 = (TRIAL, TIMED_BUILD, SEARCH, DEVICE, CERTIFICATION, CHECK)


def create_guards(connection: Connection, references: Iterable[Reference]) -> None:
    """Create the triggers of these references, on SQLite only."""
    if connection.dialect.name != "sqlite":
        return
    for reference in references:
        for statement in (*_child_guards(reference), *_parent_guards(reference)):
            connection.exec_driver_sql(statement)


def drop_guards(connection: Connection) -> None:
    """Drop every trigger, on SQLite only: a table with a trigger cannot be rebuilt."""
    if connection.dialect.name != "sqlite":
        return
    triggers = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").scalars().all()
    for name in triggers:
        connection.exec_driver_sql(f'DROP TRIGGER "{name}"')


def _child_guards(reference: Reference) -> Iterator[str]:
    """Yield triggers that refuse a row without its parent's row."""
    child, parent = reference.child, reference.parent
    found = " AND ".join(f"{parent}.{theirs} = NEW.{ours}" for ours, theirs in reference.columns.items())
    missing = f"NEW.{reference.id_column} IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {parent} WHERE {found})"
    rule = f"a row of {child} must match its {parent} in {', '.join(reference.columns)}"
    for event in ("INSERT", "UPDATE"):
        yield _guard(f"{child}_{event.lower()}_{parent}", f"{event} ON {child}", missing, rule)


def _parent_guards(reference: Reference) -> Iterator[str]:
    """Yield triggers that refuse to change a row in the columns that other rows refer to."""
    child, parent = reference.child, reference.parent
    referred = f"EXISTS (SELECT 1 FROM {child} WHERE {reference.id_column} = OLD.id)"
    changed = " OR ".join(f"NEW.{theirs} IS NOT OLD.{theirs}" for theirs in reference.columns.values())
    watched = ", ".join(reference.columns.values())
    rule = f"a row of {parent} must stay as it is while {child} refers to it: delete the rows of {child} first"
    name = f"{parent}_{{}}_in_{child}"
    yield _guard(name.format("update"), f"UPDATE OF {watched} ON {parent}", f"({changed}) AND {referred}", rule)
    yield _guard(name.format("delete"), f"DELETE ON {parent}", referred, rule)
    yield _guard(name.format("replace"), f"INSERT ON {parent}", _collision(reference), rule)


def _collision(reference: Reference) -> str:
    child, parent = reference.child, reference.parent
    referred = f"SELECT 1 FROM {parent} JOIN {child} ON {child}.{reference.id_column} = {parent}.id WHERE "
    matches = (" AND ".join(f"{parent}.{column} = NEW.{column}" for column in key) for key in reference.keys)
    return " OR ".join(f"EXISTS ({referred}{match})" for match in matches)


def _guard(name: str, event: str, condition: str, rule: str) -> str:
    return f"CREATE TRIGGER {name} BEFORE {event} WHEN {condition} BEGIN SELECT RAISE(ABORT, '{rule}'); END"
