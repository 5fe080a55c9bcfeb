"""Writes of what was checked and timed of trials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from sqlalchemy import Connection

from evotune_db.errors import DatabaseError
from evotune_db.records import GateRecord, TimingRecord
from evotune_db.rows import GATE_FIELDS, TIMING_FIELDS, Values, values
from evotune_db.schema.column_types import finite, storable, to_json
from evotune_db.schema.tables import gate_result, timing
from evotune_db.write.statements import insert_ready, insert_rows

Phase = Literal["search", "confirm"]
# Most rows of an outcome are of this table.
GATE_COLUMNS = ("trial_id", "phase", *GATE_FIELDS)


class Timed(NamedTuple):
    """A timing, the trial that it is of, and the device that it was taken on."""

    trial_id: int
    device_id: int | None
    record: TimingRecord


def add_gates(connection: Connection, gates: Iterable[tuple[int, GateRecord]], phase: Phase) -> None:
    """The verdicts on trials, each with its trial's id."""
    insert_ready(connection, gate_result, GATE_COLUMNS, [_gate_row(*each, phase) for each in gates])


def _gate_row(trial_id: int, of: GateRecord, phase: Phase) -> tuple[object, ...]:
    """As its columns' types would make it."""
    reason = None if of.reason is None else storable(of.reason)
    where = (of.gate, of.passed, reason, of.workload, of.distribution, of.seed)
    errors = (finite(of.max_error), finite(of.max_limit), finite(of.rms_error), finite(of.rms_limit))
    return trial_id, phase, *where, *errors, finite(of.seconds), _json_text(of.figures)


def _json_text(figures: Mapping[str, object]) -> str:
    try:
        return to_json(figures)
    except (TypeError, ValueError) as error:
        raise DatabaseError(f"figures of a gate must be JSON, got {figures!r}: {error}") from error


def require_phase(timings: Iterable[TimingRecord], phase: Phase) -> None:
    """The phase is what makes an entry count as confirmed; DatabaseError for any other than is recorded now."""
    for record in timings:
        if record.phase != phase:
            raise DatabaseError(f"a timing recorded here must be of the phase {phase}, got {record.phase}")


def add_timings(connection: Connection, timings: Iterable[Timed], builds: Mapping[str, int]) -> None:
    """The timings, of builds by their keys."""
    insert_rows(connection, timing, [timing_row(timed, builds) for timed in timings])


def timing_row(timed: Timed, builds: Mapping[str, int]) -> Values:
    """As it is stored."""
    return {
        **values(timed.record, TIMING_FIELDS),
        "trial_id": timed.trial_id,
        "device_id": timed.device_id,
        "build_id": builds[timed.record.build_key],
        "complete": timed.record.mode == "cold" and not timed.record.censored,
    }
