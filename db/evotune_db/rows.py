"""Convert records to rows and back; a column has the name of the field that it stores."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from sqlalchemy import Row

from evotune_db.records import (
    BuildRecord,
    CertificationRecord,
    CheckRecord,
    DeviceRecord,
    DiagnosisRecord,
    GateRecord,
    KernelRecord,
    NewTrial,
    ProfileRecord,
    SearchRecord,
    SpaceRecord,
    StoredTrial,
    TimingRecord,
)
from evotune_db.schema.column_types import to_json

Values = dict[str, Any]
AnyRow = Row[*tuple[Any, ...]]
SEARCH_FIELDS = ("target", "workloads", "sampler", "seed", "budget", "options", "versions")
NEW_TRIAL_FIELDS = tuple(field.name for field in fields(NewTrial))
DEVICE_FIELDS = tuple(field.name for field in fields(DeviceRecord))
BUILD_FIELDS = tuple(field.name for field in fields(BuildRecord))
GATE_FIELDS = tuple(field.name for field in fields(GateRecord))
TIMING_FIELDS = tuple(field.name for field in fields(TimingRecord) if field.name != "build_key")
TRIAL_FIELDS = tuple(field.name for field in fields(StoredTrial) if field.name != "censored")
OUTCOME_FIELDS = ("state", "failed_gate", "reason", "objective", "same_binary_as", "reuse_key")
CERTIFICATION_FIELDS = ("made", "passed", "runs", "different_runs")
CHECK_FIELDS = tuple(field.name for field in fields(CheckRecord))
PROFILE_FIELDS = tuple(field.name for field in fields(ProfileRecord) if field.name not in ("build_key", "device"))
DIAGNOSIS_FIELDS = tuple(field.name for field in fields(DiagnosisRecord))


def values(record: object, names: tuple[str, ...]) -> Values:
    """Return the named fields of a record as column values."""
    return {name: getattr(record, name) for name in names}


def search_values(record: SearchRecord) -> Values:
    """Return a new search's row, without its state."""
    return {
        **values(record, SEARCH_FIELDS),
        "kernel": record.kernel.name,
        "kernel_hash": record.kernel.source_hash,
        "space": record.space.name,
        "space_hash": record.space.hash,
        "valid_configurations": record.space.valid_configurations,
    }


def device_values(record: DeviceRecord) -> Values:
    """Return a device's row; its hash is over all fields."""
    known = values(record, DEVICE_FIELDS)
    return {**known, "hash": hashlib.sha256(to_json(sorted(known.items())).encode()).hexdigest()}


def search_record(row: AnyRow) -> SearchRecord:
    """Convert a row of `search` with the `text` of its space."""
    stored = {name: getattr(row, name) for name in SEARCH_FIELDS}
    return SearchRecord(
        kernel=KernelRecord(row.kernel, row.kernel_hash),
        space=SpaceRecord(row.space, row.space_hash, row.text, row.valid_configurations),
        **{**stored, "workloads": tuple(row.workloads)},
    )


def device_record(row: AnyRow) -> DeviceRecord:
    """Convert a row of `device`."""
    return DeviceRecord(**{name: getattr(row, name) for name in DEVICE_FIELDS})


def build_record(row: AnyRow) -> BuildRecord:
    """Convert a row of `build`."""
    stored = {name: getattr(row, name) for name in BUILD_FIELDS}
    return BuildRecord(**{**stored, "flags": tuple(row.flags)})


def gate_record(row: AnyRow) -> GateRecord:
    """Convert a row of `gate_result`."""
    return GateRecord(**{name: getattr(row, name) for name in GATE_FIELDS})


def timing_record(row: AnyRow) -> TimingRecord:
    """Convert a row of `timing` with the `key` of its build."""
    return TimingRecord(build_key=row.key, **{name: getattr(row, name) for name in TIMING_FIELDS})


def stored_trial(row: AnyRow) -> StoredTrial:
    """Convert a row of `trial` with the label `censored` of its timing."""
    return StoredTrial(censored=bool(row.censored), **{name: getattr(row, name) for name in TRIAL_FIELDS})


def certification_record(row: AnyRow, checks: Iterable[AnyRow]) -> CertificationRecord:
    """Convert a row of `certification` with the `key` of its build and its device, and the rows of its checks."""
    return CertificationRecord(
        build_key=row.key,
        device=device_record(row),
        checks=tuple(CheckRecord(**{name: getattr(check, name) for name in CHECK_FIELDS}) for check in checks),
        **{name: getattr(row, name) for name in CERTIFICATION_FIELDS},
    )


def profile_record(row: AnyRow) -> ProfileRecord:
    """Convert a row of `profile` with the `key` of its build and its device."""
    stored = {name: getattr(row, name) for name in PROFILE_FIELDS}
    return ProfileRecord(build_key=row.key, device=device_record(row), **stored)


def diagnosis_record(row: AnyRow) -> DiagnosisRecord:
    """Convert a row of `diagnosis`."""
    stored = {name: getattr(row, name) for name in DIAGNOSIS_FIELDS}
    return DiagnosisRecord(**{**stored, "first_wrong": None if row.first_wrong is None else tuple(row.first_wrong)})
