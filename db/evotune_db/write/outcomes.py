"""Record the outcomes of trials with all their evidence, and the confirmations of finalists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter
from typing import Literal

from sqlalchemy import Connection, bindparam, delete, or_, select, update

from evotune_db.errors import DatabaseError
from evotune_db.lookups import in_chunks, now
from evotune_db.records import BuildRecord, DeviceRecord, GateLike, OutcomeRecord, TimingLike
from evotune_db.rows import OUTCOME_FIELDS, Values, values
from evotune_db.schema.tables import leaderboard, timing, trial, trial_build
from evotune_db.write.content import build_ids, device_id, device_ids, known_builds
from evotune_db.write.evidence import Timed, add_gates, add_timings, timing_row
from evotune_db.write.leaderboard import add_entries, replace_entries
from evotune_db.write.reuse import COPIED
from evotune_db.write.searches import mark_measuring, require_unfinished
from evotune_db.write.statements import insert_row, insert_rows, require_passed, update_rows

_REUSES = trial.c.reused_from.is_not(None)
_REUSED = (
    select(trial.c.same_binary_as)
    .distinct()
    .where(trial.c.same_binary_as.in_(bindparam("trial_ids", expanding=True)), _REUSES)
)
_COPY_AGAIN = (
    update(trial)
    .where(trial.c.same_binary_as == bindparam("origin"), _REUSES)
    .values({name: bindparam(f"new_{name}") for name in COPIED})
)


@dataclass(frozen=True)
class _Finished:
    """A trial, its outcome, and the rows of its device and its distinct builds."""

    trial_id: int
    outcome: OutcomeRecord
    device_id: int | None
    build_ids: tuple[int, ...]


def record_outcomes(
    connection: Connection, outcomes: Sequence[tuple[int, OutcomeRecord]], measuring: Sequence[int]
) -> None:
    """Record outcomes with their evidence; a complete cold timing of a passed trial enters the leaderboard.

    There is one statement for each table, however many trials there are, with rows in the order of their keys. The
    trials `measuring` are marked as being measured.
    """
    mark_measuring(connection, measuring)
    if not outcomes:
        return
    in_order = sorted(outcomes, key=itemgetter(0))
    trial_ids = [trial_id for trial_id, _ in in_order]
    _require_distinct(trial_ids)
    require_unfinished(connection, trial_ids)
    builds = build_ids(connection, (record for _, outcome in outcomes for record in outcome.builds))
    finished = list(_with_rows(connection, in_order, builds))
    _finish(connection, finished)
    _link_builds(connection, finished)
    add_gates(connection, ((one.trial_id, record) for one in finished for record in one.outcome.gates), "search")
    timed = [Timed(one.trial_id, one.device_id, record) for one in finished for record in one.outcome.timings]
    add_timings(connection, timed, _timed_builds(connection, timed, builds), "search")
    add_entries(connection, list(dict.fromkeys(one.trial_id for one in timed)))


def record_confirmation(
    connection: Connection,
    trial_id: int,
    confirmed_on: DeviceRecord,
    gates: Sequence[GateLike],
    timings: Sequence[TimingLike],
    passed: bool,
    reason: str | None,
    builds: Sequence[BuildRecord],
) -> None:
    """Record a finalist's second measurement: its entries get the new timings, or are deleted and the trial fails."""
    require_passed(connection, trial_id, "confirm")
    build_ids(connection, builds)
    add_gates(connection, ((trial_id, record) for record in gates), "confirm")
    ran_on = device_id(connection, confirmed_on)
    timed = [Timed(trial_id, ran_on, record) for record in timings]
    known = _timed_builds(connection, timed, {})
    added = [insert_row(connection, timing, timing_row(one, known, "confirm")) for one in timed]
    if passed:
        replace_entries(connection, added)
    else:
        _fail(connection, trial_id, "confirm", reason)


def withdraw(connection: Connection, trial_id: int, reason: str) -> None:
    """Fail a passed trial that certification shows to be wrong, and delete its entries."""
    require_passed(connection, trial_id, "withdraw")
    _fail(connection, trial_id, "certify", reason)


def _require_distinct(in_order: Sequence[int]) -> None:
    for trial_id, following in pairwise(in_order):
        if trial_id == following:
            raise DatabaseError(f"a trial has one outcome, got several of trial {trial_id} at once; record one of them")


def _with_rows(
    connection: Connection, outcomes: Sequence[tuple[int, OutcomeRecord]], builds: Mapping[str, int]
) -> Iterator[_Finished]:
    """Yield the outcomes with the rows that they refer to."""
    devices = device_ids(connection, [outcome.device for _, outcome in outcomes])
    for (trial_id, outcome), ran_on in zip(outcomes, devices, strict=True):
        distinct = dict.fromkeys(builds[record.key] for record in outcome.builds)
        yield _Finished(trial_id, outcome, ran_on, tuple(distinct))


def _finish(connection: Connection, finished: Sequence[_Finished]) -> None:
    """Give trials their outcomes, and copy these to the trials that had reused an earlier outcome of theirs."""
    moment = now()
    rows = {one.trial_id: {**_outcome_row(one), "finished": moment} for one in finished}
    update_rows(connection, trial, rows)
    # A trial that lost its outcome keeps its reusers until now, and no other can reuse it meanwhile.
    for some in in_chunks(list(rows)):
        reused = sorted(connection.execute(_REUSED, {"trial_ids": some}).scalars())
        if reused:
            connection.execute(_COPY_AGAIN, [_copied(trial_id, rows[trial_id]) for trial_id in reused])


def _outcome_row(finished: _Finished) -> Values:
    outcome = finished.outcome
    return {
        **values(outcome, OUTCOME_FIELDS),
        "own_binary": outcome.same_binary_as is None,
        "device_id": finished.device_id,
        "build_id": next(iter(finished.build_ids), None),
    }


def _copied(origin: int, row: Values) -> Values:
    return {"origin": origin, **{f"new_{name}": row[name] for name in COPIED}}


def _link_builds(connection: Connection, finished: Sequence[_Finished]) -> None:
    links = [
        {"trial_id": one.trial_id, "position": position, "build_id": build_id}
        for one in finished
        for position, build_id in enumerate(one.build_ids)
    ]
    insert_rows(connection, trial_build, links)


def _timed_builds(connection: Connection, timed: Sequence[Timed], builds: Mapping[str, int]) -> Mapping[str, int]:
    """Return the builds, with those that were timed and recorded earlier."""
    others = {one.record.build_key for one in timed} - builds.keys()
    return {**builds, **known_builds(connection, others, "timing")} if others else builds


def _fail(connection: Connection, trial_id: int, gate: Literal["confirm", "certify"], reason: str | None) -> None:
    """Fail a trial and those of any search that share its binary, since they would fail in the same way."""
    connection.execute(delete(leaderboard).where(leaderboard.c.trial_id == trial_id))
    failed = {"state": "failed", "failed_gate": gate, "reason": reason, "objective": None, "reuse_key": None}
    same_binary = (trial.c.same_binary_as == trial_id) & (trial.c.state == "passed")
    connection.execute(update(trial).where(or_(trial.c.id == trial_id, same_binary)).values(failed))
