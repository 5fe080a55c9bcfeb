"""Rows that are one by content: a device, a build."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, bindparam, select, update

from evotune_db.errors import DatabaseError
from evotune_db.records import BuildRecord, DeviceRecord
from evotune_db.rows import BUILD_FIELDS, AnyRow, device_values, values
from evotune_db.schema.tables import build, device
from evotune_db.write.statements import id_by_content, in_chunks, insert_new_rows

_BY_KEY = select(build.c.id, build.c.key, build.c.succeeded).where(build.c.key.in_(bindparam("keys", expanding=True)))
_SUCCEED = update(build).where(build.c.id == bindparam("row_id"), ~build.c.succeeded)


def device_id(connection: Connection, record: DeviceRecord) -> int:
    """The device's row, inserted if it is new."""
    return id_by_content(connection, device, "hash", device_values(record))


def device_ids(connection: Connection, records: Sequence[DeviceRecord | None]) -> list[int | None]:
    """The devices' rows in the order given, inserted if they are new; None where there is no device."""
    rows = [None if record is None else device_values(record) for record in records]
    by_hash = {row["hash"]: row for row in rows if row is not None}
    ids = {content: id_by_content(connection, device, "hash", by_hash[content]) for content in sorted(by_hash)}
    return [None if row is None else ids[row["hash"]] for row in rows]


def build_ids(connection: Connection, records: Iterable[BuildRecord]) -> dict[str, int]:
    """The builds' rows by key, inserted if they are new. Of several with one key the first that succeeded counts.

    So it does beside what is stored: a build that failed, out of time say, gives way to one that succeeded.
    """
    by_key: dict[str, BuildRecord] = {}
    for record in records:
        if record.key not in by_key or (record.succeeded and not by_key[record.key].succeeded):
            by_key[record.key] = record
    # In the order of their keys: two processes that insert the same builds never wait for each other.
    rows = {key: values(by_key[key], BUILD_FIELDS) for key in sorted(by_key)}
    insert_new_rows(connection, build, list(rows.values()))
    stored = _stored(connection, list(rows))
    better = [
        {**row, "row_id": stored[key].id} for key, row in rows.items() if row["succeeded"] and not stored[key].succeeded
    ]
    if better:
        connection.execute(_SUCCEED, better)
    return {key: row.id for key, row in stored.items()}


def known_builds(connection: Connection, keys: Iterable[str], what: str) -> dict[str, int]:
    """The rows of recorded builds by key; DatabaseError, saying `what` names them, when there is none of a key."""
    wanted = sorted(set(keys))
    stored = _stored(connection, wanted)
    for key in wanted:
        if key not in stored:
            raise DatabaseError(f"a {what} must name a recorded build, got the key {key}; record its build with it")
    return {key: row.id for key, row in stored.items()}


def known_build(connection: Connection, key: str, what: str) -> int:
    """The row of one recorded build; raises as above."""
    return known_builds(connection, (key,), what)[key]


def _stored(connection: Connection, keys: Sequence[str]) -> Mapping[str, AnyRow]:
    """Id and success of the builds with these keys."""
    found = (connection.execute(_BY_KEY, {"keys": some}) for some in in_chunks(keys))
    return {row.key: row for rows in found for row in rows}
