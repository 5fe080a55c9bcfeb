"""Outcomes that one search takes over from another's trial.

A trial whose outcome would be the same anywhere under the same conditions carries a key over those conditions and its
configuration; what counts as the same is the orchestrator's to say. The key goes when the outcome is doubted.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Select, bindparam, exists, insert, literal, select

from evotune_db.records import OutcomeRecord, Reusable, TimingRecord
from evotune_db.rows import TIMING_FIELDS, AnyRow, device_record
from evotune_db.schema.tables import build, device, timing, trial, trial_build
from evotune_db.write.searches import require_unfinished
from evotune_db.write.statements import in_chunks, now, update_row

CENSORED = (
    exists().where(timing.c.trial_id == trial.c.id, timing.c.censored, timing.c.phase == "search").label("censored")
)
FOUND = (
    select(trial, CENSORED)
    .where(trial.c.reuse_key.in_(bindparam("keys", expanding=True)))
    .order_by(CENSORED, trial.c.id)
)
KNOWN = select(trial.c.reuse_key).where(trial.c.reuse_key.in_(bindparam("keys", expanding=True))).distinct()
# Samples are large, and are looked up where they are.
FIGURES = tuple(name for name in TIMING_FIELDS if name not in ("samples", "conditions"))
# What a trial of another search has of the outcome that it took over.
HANDED_ON = ("state", "failed_gate", "objective", "device_id", "build_id")


def known(connection: Connection, keys: Sequence[str]) -> frozenset[str]:
    """Those of the keys that a trial has."""
    found = (connection.execute(KNOWN, {"keys": list(some)}).scalars() for some in in_chunks(keys))
    return frozenset(key for some in found for key in some)


def find(connection: Connection, keys: Sequence[str]) -> Reusable | None:
    """A trial with one of the keys, those timed to the end first, then the oldest."""
    row = connection.execute(FOUND.limit(1), {"keys": list(keys)}).one_or_none()
    if row is None:
        return None
    found_on = connection.execute(select(device).where(device.c.id == row.device_id)).one_or_none()
    outcome = OutcomeRecord(
        row.state,
        row.failed_gate,
        row.reason,
        row.objective,
        device=None if found_on is None else device_record(found_on),
        timings=tuple(map(_figures, connection.execute(_timings_of(row.id)))),
    )
    hashes = tuple(connection.execute(_hashes_of(row.id)).scalars())
    return Reusable(row.id, hashes, bool(row.censored), outcome)


def take(connection: Connection, trial_id: int, origin: int, reason: str) -> int | None:
    """Gives a trial the outcome of another; returns the other's id, None when that is not to be taken over any more.

    The other's row is locked, so that whoever withdraws its outcome finds this trial with it.
    """
    require_unfinished(connection, (trial_id,))
    query = select(trial).where(trial.c.id == origin, trial.c.reuse_key.is_not(None)).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    shared = {name: getattr(row, name) for name in HANDED_ON}
    whose = {"same_binary_as": origin, "reused_from": origin, "own_binary": False}
    update_row(connection, trial, trial_id, {**shared, **whose, "reason": reason, "finished": now()})
    links = select(literal(trial_id), trial_build.c.position, trial_build.c.build_id)
    rows = links.where(trial_build.c.trial_id == origin)
    connection.execute(insert(trial_build).from_select(["trial_id", "position", "build_id"], rows))
    return origin


def _timings_of(trial_id: int) -> Select[*tuple[object, ...]]:
    own = (timing.c.trial_id == trial_id) & (timing.c.phase == "search") & (timing.c.mode == "cold")
    return select(*(timing.c[name] for name in FIGURES), build.c.key).join(build).where(own).order_by(timing.c.id)


def _hashes_of(trial_id: int) -> Select[*tuple[object, ...]]:
    linked = select(build.c.binary_hash).join(trial_build).where(trial_build.c.trial_id == trial_id)
    return linked.order_by(trial_build.c.position)


def _figures(row: AnyRow) -> TimingRecord:
    stored = {name: getattr(row, name) for name in FIGURES}
    return TimingRecord(build_key=row.key, samples={}, conditions={}, **stored)
