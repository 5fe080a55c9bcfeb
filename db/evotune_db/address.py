"""Addresses of databases: convert a path or URL to a SQLAlchemy URL, or to text without the password."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from evotune_db.errors import DatabaseError

DRIVERS = {
    "sqlite": "sqlite+pysqlite",
    "sqlite+pysqlite": "sqlite+pysqlite",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}


def parse(address: str) -> URL:
    """Return the SQLAlchemy URL of a path or a URL; raises DatabaseError for other databases and malformed URLs."""
    if "://" not in address:
        if not address:
            raise DatabaseError("a database must be named, got an empty name; name a file or a postgresql:// URL")
        return URL.create(DRIVERS["sqlite"], database=os.fspath(Path(address).expanduser()))
    scheme = address.partition("://")[0]
    if scheme not in DRIVERS:
        raise DatabaseError(f"a database URL must begin with sqlite:/// or postgresql://, got {shown(address)}")
    try:
        url = make_url(address)
    except (ArgumentError, ValueError) as error:
        # The parser's own text may quote a part of the password, so a URL with one gets no cause.
        raise _malformed(address) from (error if "@" not in address else None)
    if "@" in (url.host or ""):
        raise _malformed(address)
    return url.set(drivername=DRIVERS[scheme])


def shown(address: str) -> str:
    """Return `address` without its password, and without its query, which may hold one too."""
    if "://" not in address:
        return address
    scheme, _, rest = address.partition("://")
    user, at, place = rest.rpartition("@")
    name, colon, _ = user.partition(":")
    hidden = f"{name}:***@" if colon else f"{name}{at}"
    place = place.partition("?")[0]
    return place.removeprefix("/") if scheme.startswith("sqlite") and len(place) > 1 else f"{scheme}://{hidden}{place}"


def _malformed(address: str) -> DatabaseError:
    return DatabaseError(
        f"a database URL must read postgresql://user:password@host:port/name, got {shown(address)}; write @, :, / and "
        "? in a password as %40, %3A, %2F and %3F"
    )
