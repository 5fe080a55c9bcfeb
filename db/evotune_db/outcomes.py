"""Writes at a trial's end: its outcome with all the evidence, and a finalist's confirmation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal

from sqlalchemy import Connection, Insert, Select, bindparam, delete, false, func, or_, select, update

from evotune_db.contents import build_ids, device_id, known_build
from evotune_db.errors import DatabaseError
from evotune_db.finding_tables import certification
from evotune_db.progress import require_unfinished
from evotune_db.records import BuildRecord, DeviceRecord, GateRecord, OutcomeRecord, TimingRecord
from evotune_db.rows import GATE_FIELDS, TIMING_FIELDS, Values, values
from evotune_db.schema import device, gate_result, leaderboard, search, timing, trial, trial_build
from evotune_db.statements import dialect_insert, insert_row, now, require_passed, update_row

Phase = Literal["search", "confirm"]
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
# An entry that takes another timing of its trial takes all of these.
MEASURED = (
    *("device_id", "device", "timing_id", "timing_phase", "timing_complete", "speedup", "confirmed"),
    *("certified", "build_id", "certification_id"),
)


def record_outcome(connection: Connection, trial_id: int, outcome: OutcomeRecord) -> None:
    """Everything that a trial came to; a complete cold timing of a passed one enters the leaderboard."""
    require_unfinished(connection, trial_id)
    ran_on = None if outcome.device is None else device_id(connection, outcome.device)
    builds = build_ids(connection, outcome.builds)
    ended = {
        "state": outcome.state,
        "failed_gate": outcome.failed_gate,
        "reason": outcome.reason,
        "objective": outcome.objective,
        "same_binary_as": outcome.same_binary_as,
        "own_binary": outcome.same_binary_as is None,
        "reuse_key": outcome.reuse_key,
        "device_id": ran_on,
        "build_id": next(iter(builds.values()), None),
        "finished": now(),
    }
    update_row(connection, trial, trial_id, ended)
    _hand_on(connection, trial_id, ended)
    _link_builds(connection, trial_id, builds)
    _add_gates(connection, trial_id, outcome.gates, "search")
    _require_phase(outcome.timings, "search")
    _list(connection, _add_timings(connection, trial_id, ran_on, outcome.timings, builds))


def record_confirmation(
    connection: Connection,
    trial_id: int,
    confirmed_on: DeviceRecord,
    gates: Sequence[GateRecord],
    timings: Sequence[TimingRecord],
    passed: bool,
    reason: str | None,
    builds: Sequence[BuildRecord],
) -> None:
    """A finalist's second measurement: its entries take the new timings, or go and the trial fails."""
    require_passed(connection, trial_id, "confirm")
    build_ids(connection, builds)
    _add_gates(connection, trial_id, gates, "confirm")
    _require_phase(timings, "confirm")
    added = _add_timings(connection, trial_id, device_id(connection, confirmed_on), timings, {})
    if passed:
        _relist(connection, added)
    else:
        _fail(connection, trial_id, "confirm", reason)


def withdraw(connection: Connection, trial_id: int, reason: str) -> None:
    """A passed trial that certification shows to be wrong: its entries go and it fails."""
    require_passed(connection, trial_id, "withdraw")
    _fail(connection, trial_id, "certify", reason)


def _hand_on(connection: Connection, trial_id: int, ended: Values) -> None:
    """To trials of other searches that took over an outcome of this one before it was doubted."""
    took_over = (trial.c.same_binary_as == trial_id) & trial.c.reused_from.is_not(None)
    anew = {name: ended[name] for name in ("state", "failed_gate", "objective", "device_id", "build_id")}
    connection.execute(update(trial).where(took_over).values(anew))


def _link_builds(connection: Connection, trial_id: int, builds: dict[str, int]) -> None:
    links = [
        {"trial_id": trial_id, "position": position, "build_id": build_id}
        for position, build_id in enumerate(builds.values())
    ]
    if links:
        connection.execute(trial_build.insert(), links)


def _add_gates(connection: Connection, trial_id: int, gates: Sequence[GateRecord], phase: Phase) -> None:
    rows = [{**values(gate, GATE_FIELDS), "trial_id": trial_id, "phase": phase} for gate in gates]
    if rows:
        connection.execute(gate_result.insert(), rows)


def _require_phase(timings: Sequence[TimingRecord], phase: Phase) -> None:
    """The phase is what makes an entry count as confirmed; DatabaseError for any other than is recorded now."""
    for timing_record in timings:
        if timing_record.phase != phase:
            raise DatabaseError(f"a timing recorded here must be of the phase {phase}, got {timing_record.phase}")


def _add_timings(
    connection: Connection,
    trial_id: int,
    ran_on: int | None,
    timings: Sequence[TimingRecord],
    builds: dict[str, int],
) -> list[int]:
    """The new rows' ids."""
    ids = []
    for record in timings:
        row = {
            **values(record, TIMING_FIELDS),
            "trial_id": trial_id,
            "device_id": ran_on,
            "build_id": builds.get(record.build_key) or known_build(connection, record.build_key, "timing"),
            "complete": record.mode == "cold" and not record.censored,
        }
        ids.append(insert_row(connection, timing, row))
    return ids


def _list(connection: Connection, timing_ids: Sequence[int]) -> None:
    """Enters the timings that qualify."""
    if timing_ids:
        connection.execute(_entering(), {"timing_ids": timing_ids})


def _relist(connection: Connection, timing_ids: Sequence[int]) -> None:
    """Enters the timings that qualify, each in the place of the trial's entry for that workload."""
    if timing_ids:
        connection.execute(_replacing(connection.dialect.name), {"timing_ids": timing_ids})


def _fail(connection: Connection, trial_id: int, gate: Literal["confirm", "certify"], reason: str | None) -> None:
    """Fails a trial and those that share its binary, of whatever search, which would do the same."""
    connection.execute(delete(leaderboard).where(leaderboard.c.trial_id == trial_id))
    failed = {"state": "failed", "failed_gate": gate, "reason": reason, "objective": None, "reuse_key": None}
    same_binary = (trial.c.same_binary_as == trial_id) & (trial.c.state == "passed")
    connection.execute(update(trial).where(or_(trial.c.id == trial_id, same_binary)).values(failed))


@cache
def _entering() -> Insert:
    return leaderboard.insert().from_select(list(ENTRY), _qualifying())


@cache
def _replacing(dialect: str) -> Insert:
    new = dialect_insert(dialect, leaderboard).from_select(list(ENTRY), _qualifying())
    taken = {name: new.excluded[name] for name in MEASURED}
    return new.on_conflict_do_update(index_elements=["trial_id", "workload"], set_=taken)


def _qualifying() -> Select[*tuple[object, ...]]:
    """What the leaderboard stores of those of the given timings that may stand on it."""
    made = certification.alias()
    same_build = (made.c.trial_id == timing.c.trial_id) & (made.c.build_id == timing.c.build_id)
    latest = select(func.max(made.c.id)).where(same_build).correlate(timing).scalar_subquery()
    given = timing.c.id.in_(bindparam("timing_ids", expanding=True))
    return (
        select(*ENTRY.values())
        .join_from(timing, trial, timing.c.trial_id == trial.c.id)
        .join(search, trial.c.search_id == search.c.id)
        .join(device, timing.c.device_id == device.c.id)
        .outerjoin(certification, certification.c.id == latest)
        .where(given, timing.c.complete, trial.c.state == "passed", trial.c.own_binary)
    )
