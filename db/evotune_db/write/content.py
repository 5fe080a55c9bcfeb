"""Rows that are found by their content: each device and each build is stored once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, bindparam, select, update

from evotune_db.errors import DatabaseError
from evotune_db.lookups import in_chunks
from evotune_db.records import BuildRecord, DeviceRecord
from evotune_db.rows import BUILD_FIELDS, AnyRow, device_values, values
from evotune_db.schema.tables import build, device
from evotune_db.write.statements import id_by_content, insert_new_rows

_BY_KEY = select(build.c.id, build.c.key, build.c.succeeded).where(build.c.key.in_(bindparam("keys", expanding=True)))
_SUCCEED = update(build).where(build.c.id == bindparam("row_id"), ~build.c.succeeded)


def device_id(connection: Connection, record: DeviceRecord) -> int:
    """Return the id of the device's row; insert the row if it is new."""
    return id_by_content(connection, device, "hash", device_values(record))


def device_ids(connection: Connection, records: Sequence[DeviceRecord | None]) -> list[int | None]:
    """Return the ids of the devices' rows in their order, None without a device; insert the rows that are new."""
    rows = [None if record is None else device_values(record) for record in records]
    by_hash = {row["hash"]: row for row in rows if row is not None}
    ids = {content: id_by_content(connection, device, "hash", by_hash[content]) for content in sorted(by_hash)}
    return [None if row is None else ids[row["hash"]] for row in rows]


def build_ids(connection: Connection, records: Iterable[BuildRecord]) -> dict[str, int]:
    """Return the ids of the builds' rows by key; insert the rows that are new.

    A key stands for the first of its builds that succeeded. A stored build that failed, for example out of time, is
    replaced by a build that succeeded.
    """
    by_key: dict[str, BuildRecord] = {}
    for record in records:
        if record.key not in by_key or (record.succeeded and not by_key[record.key].succeeded):
            by_key[record.key] = record
    # Sorted by key, so that two processes that insert the same builds never wait for each other.
    rows = {key: values(by_key[key], BUILD_FIELDS) for key in sorted(by_key)}
    insert_new_rows(connection, build, list(rows.values()))
    stored = _stored(connection, list(rows))
    better = [
        {**row, "row_id": stored[key].id} for key, row in rows.items() if row["succeeded"] and not stored[key].succeeded
    ]
    if better:
        connection.execute(_SUCCEED, better)
    return {key: row.id for key, row in stored.items()}


def known_builds(connection: Connection, keys: Iterable[str], user: str) -> dict[str, int]:
    """Return the ids of recorded builds by key; DatabaseError, which names the `user` of the key, without a build."""
    wanted = sorted(set(keys))
    stored = _stored(connection, wanted)
    for key in wanted:
        if key not in stored:
            raise DatabaseError(f"a {user} must name a recorded build, got the key {key}; record its build with it")
    return {key: row.id for key, row in stored.items()}


def known_build(connection: Connection, key: str, user: str) -> int:
    """Return the id of one recorded build; raises as `known_builds`."""
    return known_builds(connection, (key,), user)[key]


def _stored(connection: Connection, keys: Sequence[str]) -> Mapping[str, AnyRow]:
    """Return id and success of the builds with these keys."""
    found = (connection.execute(_BY_KEY, {"keys": some}) for some in in_chunks(keys))
    return {row.key: row for rows in found for row in rows}
