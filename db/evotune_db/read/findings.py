"""Read the findings about one trial, in the order in which they were recorded."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter

from sqlalchemy import Connection, Select, Table, select

from evotune_db.records import CHECK_TOOLS, CertificationRecord, DiagnosisRecord, ProfileRecord
from evotune_db.rows import (
    CERTIFICATION_FIELDS,
    CHECK_FIELDS,
    DEVICE_FIELDS,
    DIAGNOSIS_FIELDS,
    PROFILE_FIELDS,
    AnyRow,
    certification_record,
    diagnosis_record,
    profile_record,
)
from evotune_db.schema.finding_tables import certification, certification_check, diagnosis, profile
from evotune_db.schema.tables import build, device


def certifications_of(connection: Connection, trial_id: int) -> tuple[CertificationRecord, ...]:
    """Return a trial's certifications, each with its checks in the order in which they run."""
    checks = _checks_of(connection, trial_id)
    rows = connection.execute(_with_build_and_device(certification, ("id", *CERTIFICATION_FIELDS), trial_id))
    return tuple(certification_record(row, checks.get(row.id, [])) for row in rows)


def profiles_of(connection: Connection, trial_id: int) -> tuple[ProfileRecord, ...]:
    """Return a trial's profiles."""
    return tuple(map(profile_record, connection.execute(_with_build_and_device(profile, PROFILE_FIELDS, trial_id))))


def diagnoses_of(connection: Connection, trial_id: int) -> tuple[DiagnosisRecord, ...]:
    """Return a trial's diagnosis, one record for each workload and stage."""
    columns = [diagnosis.c[name] for name in DIAGNOSIS_FIELDS]
    query = select(*columns).where(diagnosis.c.trial_id == trial_id).order_by(diagnosis.c.id)
    return tuple(map(diagnosis_record, connection.execute(query)))


def _with_build_and_device(table: Table, names: tuple[str, ...], trial_id: int) -> Select[*tuple[object, ...]]:
    columns = (table.c[name] for name in names)
    device_columns = (device.c[name] for name in DEVICE_FIELDS)
    return (
        select(*columns, build.c.key, *device_columns)
        .join_from(table, build, table.c.build_id == build.c.id)
        .join(device, table.c.device_id == device.c.id)
        .where(table.c.trial_id == trial_id)
        .order_by(table.c.id)
    )


def _checks_of(connection: Connection, trial_id: int) -> dict[int, list[AnyRow]]:
    """Return the checks of each certification of the trial, by the certification's id."""
    of_certification = certification_check.c.certification_id
    query = (
        select(of_certification, *(certification_check.c[name] for name in CHECK_FIELDS))
        .join(certification, certification.c.id == of_certification)
        .where(certification.c.trial_id == trial_id)
        .order_by(of_certification)
    )
    rows = connection.execute(query).all()
    by_id = groupby(rows, key=attrgetter("certification_id"))
    return {key: sorted(checks, key=lambda check: CHECK_TOOLS.index(check.tool)) for key, checks in by_id}
