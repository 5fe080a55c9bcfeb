"""Insert the evidence of trials: the results of gates, and timings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from sqlalchemy import Connection

from evotune_db.errors import DatabaseError
from evotune_db.records import GateLike, TimingLike
from evotune_db.rows import GATE_FIELDS, TIMING_FIELDS, Values, values
from evotune_db.schema.column_types import finite, finite_or_text, storable, to_json
from evotune_db.schema.tables import gate_result, timing
from evotune_db.write.statements import insert_driver_rows, insert_rows

Phase = Literal["search", "confirm"]
# Most rows of an outcome belong to this table.
GATE_COLUMNS = ("trial_id", "phase", *GATE_FIELDS)
# The fields of a timing that its own columns store as they are.
MEASURED_FIELDS = tuple(name for name in TIMING_FIELDS if name not in ("phase", "conditions"))


class Timed(NamedTuple):
    """A timing, the id of its trial, and the id of the device that ran it."""

    trial_id: int
    device_id: int | None
    record: TimingLike


def add_gates(connection: Connection, gates: Iterable[tuple[int, GateLike]], phase: Phase) -> None:
    """Insert gate results, each with its trial's id."""
    insert_driver_rows(connection, gate_result, GATE_COLUMNS, [_gate_row(*each, phase) for each in gates])


def _gate_row(trial_id: int, gate: GateLike, phase: Phase) -> tuple[object, ...]:
    """Return the values of GATE_COLUMNS, converted as their column types would."""
    reason = None if gate.reason is None else storable(gate.reason)
    verdict = (gate.gate, gate.passed, reason, gate.workload, gate.distribution, gate.seed)
    errors = (finite(gate.max_error), finite(gate.max_limit), finite(gate.rms_error), finite(gate.rms_limit))
    return trial_id, phase, *verdict, *errors, finite(gate.seconds), _json_text(gate.figures)


def _json_text(figures: Mapping[str, object]) -> str:
    try:
        return _encoded(figures)
    except TypeError as error:
        raise DatabaseError(f"figures of a gate must be JSON, got {figures!r}: {error}") from error


def _encoded(figures: Mapping[str, object]) -> str:
    try:
        return to_json(figures)
    except ValueError:
        # Most figures are finite, so that only the others pay for the conversion.
        return to_json(finite_or_text(figures))


def add_timings(connection: Connection, timings: Iterable[Timed], builds: Mapping[str, int], phase: Phase) -> None:
    """Insert timings; `builds` maps build keys to rows."""
    insert_rows(connection, timing, [timing_row(timed, builds, phase) for timed in timings])


def timing_row(timed: Timed, builds: Mapping[str, int], phase: Phase) -> Values:
    """Return the values of a row of `timing`; the phase makes an entry count as confirmed."""
    return {
        **values(timed.record, MEASURED_FIELDS),
        "phase": phase,
        "conditions": finite_or_text(timed.record.conditions),
        "trial_id": timed.trial_id,
        "device_id": timed.device_id,
        "build_id": builds[timed.record.build_key],
        "complete": timed.record.mode == "cold" and not timed.record.censored,
    }
