"""Give a trial the outcome of another search's trial; read/reuse.py finds the outcomes that may be reused."""

from __future__ import annotations

from sqlalchemy import Connection, insert, literal, select

from evotune_db.lookups import now
from evotune_db.schema.tables import trial, trial_build
from evotune_db.write.searches import require_unfinished
from evotune_db.write.statements import update_row

# The columns of an outcome that the reusing trial copies.
COPIED = ("state", "failed_gate", "objective", "device_id", "build_id")


def copy_outcome(connection: Connection, trial_id: int, origin: int, reason: str) -> int | None:
    """Copy the outcome of the trial `origin`; return its id, or None when that outcome may not be reused any more.

    The origin's row is locked, so that a process that withdraws its outcome finds this trial among its reusers.
    """
    require_unfinished(connection, (trial_id,))
    query = select(trial).where(trial.c.id == origin, trial.c.reuse_key.is_not(None)).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    copied = {name: getattr(row, name) for name in COPIED}
    linked = {"same_binary_as": origin, "reused_from": origin, "own_binary": False}
    update_row(connection, trial, trial_id, {**copied, **linked, "reason": reason, "finished": now()})
    links = select(literal(trial_id), trial_build.c.position, trial_build.c.build_id)
    rows = links.where(trial_build.c.trial_id == origin)
    connection.execute(insert(trial_build).from_select(["trial_id", "position", "build_id"], rows))
    return origin
