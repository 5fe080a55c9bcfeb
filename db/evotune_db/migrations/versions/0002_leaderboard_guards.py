"""On SQLite, the leaderboard's foreign keys as triggers too.

SQLite enforces foreign keys only for clients that ask for it, which its own shell does not. Triggers it runs for all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from alembic import op

revision = "0002"
down_revision = "0001"


class Reference(NamedTuple):
    """Columns of the leaderboard that must be found in one row of a parent, and the parent's other unique keys.

    REPLACE removes the rows that it collides with without a delete trigger; hence the keys.
    A named tuple, as Alembic loads this file in a way that dataclasses do not bear.
    """

    parent: str
    columns: Mapping[str, str]
    keys: tuple[tuple[str, ...], ...]


REFERENCES = (
    Reference(
        "trial",
        {"trial_id": "id", "search_id": "search_id", "trial_state": "state", "own_binary": "own_binary"},
        (("id",), ("search_id", "number"), ("search_id", "configuration_key")),
    ),
    Reference(
        "timing",
        {
            "timing_id": "id",
            "trial_id": "trial_id",
            "workload": "workload",
            "device_id": "device_id",
            "speedup": "speedup",
            "timing_phase": "phase",
            "timing_complete": "complete",
        },
        (("id",),),
    ),
    Reference("search", {"search_id": "id", "kernel": "kernel", "target": "target"}, (("id",),)),
    Reference("device", {"device_id": "id", "device": "name"}, (("id",), ("hash",))),
)


def upgrade() -> None:
    for statement in guards():
        op.execute(statement)


def downgrade() -> None:
    for statement in guards():
        name = statement.split()[2]
        op.execute(f"DROP TRIGGER {name}")


def guards() -> Iterator[str]:
    if op.get_bind().dialect.name != "sqlite":
        return
    for reference in REFERENCES:
        yield from child_guards(reference)
        yield from parent_guards(reference)


def child_guards(reference: Reference) -> Iterator[str]:
    """An entry without its row in the parent is refused."""
    parent = reference.parent
    found = " AND ".join(f"{parent}.{theirs} = NEW.{ours}" for ours, theirs in reference.columns.items())
    rule = f"a leaderboard entry must match its {parent}: passed, complete, its own binary, same search and figures"
    for event in ("INSERT", "UPDATE"):
        missing = f"NOT EXISTS (SELECT 1 FROM {parent} WHERE {found})"
        yield guard(f"leaderboard_{event.lower()}_{parent}", f"{event} ON leaderboard", missing, rule)


def parent_guards(reference: Reference) -> Iterator[str]:
    """A row with entries keeps what they were admitted for."""
    parent, columns = reference.parent, reference.columns
    (id_column,) = (ours for ours, theirs in columns.items() if theirs == "id")
    listed = f"EXISTS (SELECT 1 FROM leaderboard WHERE {id_column} = OLD.id)"
    changed = " OR ".join(f"NEW.{theirs} IS NOT OLD.{theirs}" for theirs in columns.values())
    rule = f"a {parent} on the leaderboard must stay as it was admitted: delete its leaderboard entries first"
    watched = ", ".join(columns.values())
    yield guard(f"{parent}_update_listed", f"UPDATE OF {watched} ON {parent}", f"({changed}) AND {listed}", rule)
    yield guard(f"{parent}_delete_listed", f"DELETE ON {parent}", listed, rule)
    collides = " OR ".join(
        f"EXISTS (SELECT 1 FROM {parent} JOIN leaderboard ON leaderboard.{id_column} = {parent}.id WHERE "
        + " AND ".join(f"{parent}.{column} = NEW.{column}" for column in key)
        + ")"
        for key in reference.keys
    )
    yield guard(f"{parent}_replace_listed", f"INSERT ON {parent}", collides, rule)


def guard(name: str, event: str, condition: str, rule: str) -> str:
    return f"CREATE TRIGGER {name} BEFORE {event} WHEN {condition} BEGIN SELECT RAISE(ABORT, '{rule}'); END"
