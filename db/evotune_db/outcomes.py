"""Writes at a trial's end: its outcome with all the evidence, and a finalist's confirmation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal

from sqlalchemy import Connection, Insert, Select, bindparam, delete, false, or_, select, update

from evotune_db.errors import DatabaseError
from evotune_db.progress import require_unfinished
from evotune_db.records import BuildRecord, DeviceRecord, GateRecord, OutcomeRecord, TimingRecord
from evotune_db.rows import BUILD_FIELDS, GATE_FIELDS, TIMING_FIELDS, device_values, values
from evotune_db.schema import build, device, gate_result, leaderboard, search, timing, trial, trial_build
from evotune_db.statements import dialect_insert, find_by_content, id_by_content, insert_row, now, only, update_row

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
    "certified": false(),
}


def record_outcome(connection: Connection, trial_id: int, outcome: OutcomeRecord) -> None:
    """Everything that a trial came to; a complete cold timing of a passed one enters the leaderboard."""
    require_unfinished(connection, trial_id)
    device_id = _device(connection, outcome.device)
    builds = _builds(connection, outcome.builds)
    ended = {
        "state": outcome.state,
        "failed_gate": outcome.failed_gate,
        "reason": outcome.reason,
        "objective": outcome.objective,
        "same_binary_as": outcome.same_binary_as,
        "own_binary": outcome.same_binary_as is None,
        "device_id": device_id,
        "build_id": next(iter(builds.values()), None),
        "finished": now(),
    }
    update_row(connection, trial, trial_id, ended)
    _link_builds(connection, trial_id, builds)
    _add_gates(connection, trial_id, outcome.gates, "search")
    _require_phase(outcome.timings, "search")
    _list(connection, _add_timings(connection, trial_id, device_id, outcome.timings, builds))


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
    _require_passed(connection, trial_id)
    device_id = _device(connection, confirmed_on)
    _builds(connection, builds)
    _add_gates(connection, trial_id, gates, "confirm")
    _require_phase(timings, "confirm")
    added = _add_timings(connection, trial_id, device_id, timings, {})
    if passed:
        _relist(connection, added)
    else:
        _fail(connection, trial_id, reason)


def _require_passed(connection: Connection, trial_id: int) -> None:
    query = select(trial.c.state).where(trial.c.id == trial_id).with_for_update()
    state = only(connection, query, "trial", trial_id).state
    if state != "passed":
        raise DatabaseError(f"a trial to confirm must have passed, trial {trial_id} is {state}; confirm another")


def _device(connection: Connection, record: DeviceRecord | None) -> int | None:
    return None if record is None else id_by_content(connection, device, "hash", device_values(record))


def _builds(connection: Connection, records: Sequence[BuildRecord]) -> dict[str, int]:
    """Ids by key, in the order given."""
    ids = {}
    for record in records:
        row = values(record, BUILD_FIELDS)
        ids[record.key] = id_by_content(connection, build, "key", row)
        if record.succeeded:
            # A build that failed, out of time say, gives way to one of the same content that succeeded.
            failed = (build.c.id == ids[record.key]) & ~build.c.succeeded
            connection.execute(update(build).where(failed), row)
    return ids


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
    device_id: int | None,
    timings: Sequence[TimingRecord],
    builds: dict[str, int],
) -> list[int]:
    """The new rows' ids."""
    ids = []
    for record in timings:
        row = {
            **values(record, TIMING_FIELDS),
            "trial_id": trial_id,
            "device_id": device_id,
            "build_id": builds.get(record.build_key) or _known_build(connection, record.build_key),
            "complete": record.mode == "cold" and not record.censored,
        }
        ids.append(insert_row(connection, timing, row))
    return ids


def _known_build(connection: Connection, key: str) -> int:
    found = find_by_content(connection, build, "key", key)
    if found is None:
        raise DatabaseError(f"a timing must name a recorded build, got the key {key}; record its build with it")
    return found


def _list(connection: Connection, timing_ids: Sequence[int]) -> None:
    """Enters the timings that qualify."""
    if timing_ids:
        connection.execute(_entering(), {"timing_ids": timing_ids})


def _relist(connection: Connection, timing_ids: Sequence[int]) -> None:
    """Enters the timings that qualify, each in the place of the trial's entry for that workload."""
    if timing_ids:
        connection.execute(_replacing(connection.dialect.name), {"timing_ids": timing_ids})


def _fail(connection: Connection, trial_id: int, reason: str | None) -> None:
    """Fails a trial and those that share its binary, which would do the same."""
    connection.execute(delete(leaderboard).where(leaderboard.c.trial_id == trial_id))
    failed = {"state": "failed", "failed_gate": "confirm", "reason": reason, "objective": None}
    same_binary = (trial.c.same_binary_as == trial_id) & (trial.c.state == "passed")
    connection.execute(update(trial).where(or_(trial.c.id == trial_id, same_binary)).values(failed))


@cache
def _entering() -> Insert:
    return leaderboard.insert().from_select(list(ENTRY), _qualifying())


@cache
def _replacing(dialect: str) -> Insert:
    new = dialect_insert(dialect, leaderboard).from_select(list(ENTRY), _qualifying())
    measured = ("device_id", "device", "timing_id", "timing_phase", "timing_complete", "speedup", "confirmed")
    taken = {name: new.excluded[name] for name in measured}
    return new.on_conflict_do_update(index_elements=["trial_id", "workload"], set_=taken)


def _qualifying() -> Select[*tuple[object, ...]]:
    """What the leaderboard stores of those of the given timings that may stand on it."""
    given = timing.c.id.in_(bindparam("timing_ids", expanding=True))
    return (
        select(*ENTRY.values())
        .join_from(timing, trial, timing.c.trial_id == trial.c.id)
        .join(search, trial.c.search_id == search.c.id)
        .join(device, timing.c.device_id == device.c.id)
        .where(given, timing.c.complete, trial.c.state == "passed", trial.c.own_binary)
    )
