"""Record the findings about a trial beside its outcome: certification, profile, diagnosis."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, select, update

from evotune_db.errors import DatabaseError
from evotune_db.lookups import one_row
from evotune_db.records import CHECK_TOOLS, BuildRecord, CertificationRecord, DiagnosisRecord, ProfileRecord
from evotune_db.rows import CERTIFICATION_FIELDS, CHECK_FIELDS, DIAGNOSIS_FIELDS, PROFILE_FIELDS, values
from evotune_db.schema.finding_tables import certification, certification_check, diagnosis, profile
from evotune_db.schema.tables import leaderboard, trial
from evotune_db.write.content import build_ids, device_id, known_build
from evotune_db.write.statements import insert_row, require_passed


def record_certification(
    connection: Connection, trial_id: int, record: CertificationRecord, builds: Sequence[BuildRecord]
) -> tuple[str, ...]:
    """Record a passed trial's certification in its entries with a timing of that build; return their workloads."""
    require_passed(connection, trial_id, "certify")
    _require_every_check(record)
    build_ids(connection, builds)
    build_id = known_build(connection, record.build_key, "certification")
    row = {**values(record, CERTIFICATION_FIELDS), "trial_id": trial_id, "build_id": build_id}
    certification_id = insert_row(connection, certification, {**row, "device_id": device_id(connection, record.device)})
    common = {"certification_id": certification_id, "certification_passed": record.passed}
    checks = [{**values(check, CHECK_FIELDS), **common} for check in record.checks]
    if checks:
        connection.execute(certification_check.insert(), checks)
    entries = (leaderboard.c.trial_id == trial_id) & (leaderboard.c.build_id == build_id)
    certified = {"certification_id": certification_id, "certified": record.passed}
    return tuple(
        connection.scalars(update(leaderboard).where(entries).values(certified).returning(leaderboard.c.workload))
    )


def record_profile(connection: Connection, trial_id: int, record: ProfileRecord, builds: Sequence[BuildRecord]) -> None:
    """Record a profile of a trial's build."""
    _require_trial(connection, trial_id)
    build_ids(connection, builds)
    refers = {
        "trial_id": trial_id,
        "build_id": known_build(connection, record.build_key, "profile"),
        "device_id": device_id(connection, record.device),
    }
    insert_row(connection, profile, {**values(record, PROFILE_FIELDS), **refers})


def record_diagnosis(connection: Connection, trial_id: int, stages: Sequence[DiagnosisRecord]) -> None:
    """Record a trial's diagnosis; it replaces an earlier one of the same workloads."""
    _require_trial(connection, trial_id)
    workloads = {stage.workload for stage in stages}
    earlier = (diagnosis.c.trial_id == trial_id) & diagnosis.c.workload.in_(workloads)
    connection.execute(delete(diagnosis).where(earlier))
    rows = [{**values(stage, DIAGNOSIS_FIELDS), "trial_id": trial_id} for stage in stages]
    if rows:
        connection.execute(diagnosis.insert(), rows)


def _require_every_check(record: CertificationRecord) -> None:
    missing = set(CHECK_TOOLS) - {check.tool for check in record.checks}
    if record.passed and missing:
        raise DatabaseError(
            f"a certification that passed must have every check ({', '.join(CHECK_TOOLS)}), got none of "
            f"{', '.join(sorted(missing))}; run what is missing, or record it as not passed"
        )


def _require_trial(connection: Connection, trial_id: int) -> None:
    one_row(connection, select(trial.c.id).where(trial.c.id == trial_id), "trial", trial_id)
