"""Rows that are one by content: a device, a build."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, update

from evotune_db.errors import DatabaseError
from evotune_db.records import BuildRecord, DeviceRecord
from evotune_db.rows import BUILD_FIELDS, device_values, values
from evotune_db.schema import build, device
from evotune_db.statements import find_by_content, id_by_content, insert_new


def device_id(connection: Connection, record: DeviceRecord) -> int:
    """The device's row, inserted if it is new."""
    return id_by_content(connection, device, "hash", device_values(record))


def build_ids(connection: Connection, records: Sequence[BuildRecord]) -> dict[str, int]:
    """The builds' rows by key, in the order given, inserted if they are new."""
    return {record.key: _build_id(connection, record) for record in records}


def _build_id(connection: Connection, record: BuildRecord) -> int:
    row = values(record, BUILD_FIELDS)
    new = insert_new(connection, build, row)
    if new is not None:
        return new
    known = known_build(connection, record.key, "build")
    if record.succeeded:
        # A build that failed, out of time say, gives way to one of the same content that succeeded.
        connection.execute(update(build).where(build.c.id == known, ~build.c.succeeded), row)
    return known


def known_build(connection: Connection, key: str, what: str) -> int:
    """The row of a recorded build; DatabaseError, saying `what` names it, when there is none."""
    found = find_by_content(connection, build, "key", key)
    if found is None:
        raise DatabaseError(f"a {what} must name a recorded build, got the key {key}; record its build with it")
    return found
