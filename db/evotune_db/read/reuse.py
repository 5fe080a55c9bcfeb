"""Find outcomes that a search may reuse from a trial of another search.

A trial whose outcome would be the same anywhere under the same conditions has a key, a hash over those conditions and
its configuration. The orchestrator defines the conditions. The key goes when the outcome becomes unreliable.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Select, bindparam, exists, select

from evotune_db.lookups import in_chunks
from evotune_db.records import OutcomeRecord, Reusable, TimingRecord
from evotune_db.rows import TIMING_FIELDS, AnyRow, device_record
from evotune_db.schema.tables import build, device, timing, trial, trial_build

CENSORED = (
    exists().where(timing.c.trial_id == trial.c.id, timing.c.censored, timing.c.phase == "search").label("censored")
)
FOUND = (
    select(trial, CENSORED)
    .where(trial.c.reuse_key.in_(bindparam("keys", expanding=True)))
    .order_by(CENSORED, trial.c.id)
)
KNOWN = select(trial.c.reuse_key).where(trial.c.reuse_key.in_(bindparam("keys", expanding=True))).distinct()
# Samples are large; whoever needs them reads them from the trial that was measured.
FIGURES = tuple(name for name in TIMING_FIELDS if name not in ("samples", "conditions"))


def known_keys(connection: Connection, keys: Sequence[str]) -> frozenset[str]:
    """Return the keys that some trial has."""
    found = (connection.execute(KNOWN, {"keys": list(some)}).scalars() for some in in_chunks(keys))
    return frozenset(key for some in found for key in some)


def find(connection: Connection, keys: Sequence[str]) -> Reusable | None:
    """Return a trial with one of the keys: a trial that was timed to the end before others, then the oldest."""
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


def _timings_of(trial_id: int) -> Select[*tuple[object, ...]]:
    own = (timing.c.trial_id == trial_id) & (timing.c.phase == "search") & (timing.c.mode == "cold")
    return select(*(timing.c[name] for name in FIGURES), build.c.key).join(build).where(own).order_by(timing.c.id)


def _hashes_of(trial_id: int) -> Select[*tuple[object, ...]]:
    linked = select(build.c.binary_hash).join(trial_build).where(trial_build.c.trial_id == trial_id)
    return linked.order_by(trial_build.c.position)


def _figures(row: AnyRow) -> TimingRecord:
    stored = {name: getattr(row, name) for name in FIGURES}
    return TimingRecord(build_key=row.key, samples={}, conditions={}, **stored)
