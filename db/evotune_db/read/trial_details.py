"""Read everything that is recorded about one trial."""

from __future__ import annotations

from sqlalchemy import Connection, Select, select

from evotune_db.lookups import one_row
from evotune_db.read.findings import certifications_of, diagnoses_of, profiles_of
from evotune_db.read.health_checks import unreliable_outcomes_of
from evotune_db.read.ranking import ranked
from evotune_db.read.searches import SEARCH, STORED_TRIAL, UNRELIABLE
from evotune_db.records import LeaderboardFilter, TrialDetails
from evotune_db.rows import (
    BUILD_FIELDS,
    GATE_FIELDS,
    TIMING_FIELDS,
    build_record,
    device_record,
    gate_record,
    search_record,
    stored_trial,
    timing_record,
)
from evotune_db.schema.tables import build, device, gate_result, search, timing, trial, trial_build


def trial_details(connection: Connection, trial_id: int) -> TrialDetails:
    """Return all that is recorded about one trial, each kind in its order, and the outcomes that it lost."""
    columns = (trial.c.search_id, trial.c.device_id, trial.c.same_binary_as, trial.c.proposed, trial.c.finished)
    row = one_row(connection, STORED_TRIAL.add_columns(*columns).where(trial.c.id == trial_id), "trial", trial_id)
    found_on = connection.execute(select(device).where(device.c.id == row.device_id)).one_or_none()
    return TrialDetails(
        trial=stored_trial(row),
        search=row.search_id,
        record=search_record(connection.execute(SEARCH.where(search.c.id == row.search_id)).one()),
        device=None if found_on is None else device_record(found_on),
        same_binary_as=row.same_binary_as,
        proposed=row.proposed,
        finished=row.finished,
        builds=tuple(map(build_record, connection.execute(_builds_of(trial_id)))),
        gates=tuple(map(gate_record, connection.execute(_gates_of(trial_id)))),
        timings=tuple(map(timing_record, connection.execute(_timings_of(trial_id)))),
        leaderboard=tuple(ranked(connection, LeaderboardFilter(trial=trial_id))),
        certifications=certifications_of(connection, trial_id),
        profiles=profiles_of(connection, trial_id),
        diagnoses=diagnoses_of(connection, trial_id),
        unreliable_outcomes=unreliable_outcomes_of(connection, trial_id),
    )


def _builds_of(trial_id: int) -> Select[*tuple[object, ...]]:
    columns = [build.c[name] for name in BUILD_FIELDS]
    return select(*columns).join(trial_build).where(trial_build.c.trial_id == trial_id).order_by(trial_build.c.position)


def _gates_of(trial_id: int) -> Select[*tuple[object, ...]]:
    columns = [gate_result.c[name] for name in GATE_FIELDS]
    reliable = (gate_result.c.trial_id == trial_id) & (gate_result.c.phase != UNRELIABLE)
    return select(*columns).where(reliable).order_by(gate_result.c.id)


def _timings_of(trial_id: int) -> Select[*tuple[object, ...]]:
    columns = [timing.c[name] for name in TIMING_FIELDS]
    reliable = (timing.c.trial_id == trial_id) & (timing.c.phase != UNRELIABLE)
    return select(*columns, build.c.key).join(build).where(reliable).order_by(timing.c.id)
