"""Rows that are one by content: a device, a build."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, update

from evotune_db.errors import DatabaseError
from evotune_db.records import BuildRecord, DeviceRecord
from evotune_db.rows import BUILD_FIELDS, device_values, values
from evotune_db.schema import build, device
from evotune_db.statements import find_by_content, id_by_content


def device_id(connection: Connection, record: DeviceRecord) -> int:
    """The device's row, inserted if it is new."""
    return id_by_content(connection, device, "hash", device_values(record))


def build_ids(connection: Connection, records: Sequence[BuildRecord]) -> dict[str, int]:
    """The builds' rows by key, in the order given, inserted if they are new."""
    ids = {}
    for record in records:
        row = values(record, BUILD_FIELDS)
        ids[record.key] = id_by_content(connection, build, "key", row)
        if record.succeeded:
            # A build that failed, out of time say, gives way to one of the same content that succeeded.
            failed = (build.c.id == ids[record.key]) & ~build.c.succeeded
            connection.execute(update(build).where(failed), row)
    return ids


def known_build(connection: Connection, key: str, what: str) -> int:
    """The row of a recorded build; DatabaseError, saying `what` names it, when there is none."""
    found = find_by_content(connection, build, "key", key)
    if found is None:
        raise DatabaseError(f"a {what} must name a recorded build, got the key {key}; record its build with it")
    return found
