"""Which database a command uses: the default's one place, whether there is one, and how it is shown."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from evotune.errors import UserError

VARIABLE = "EVOTUNE_DB"
DEFAULT = "./evotune.db"
PASSWORD_IN_QUERY = re.compile(r"(?<=password=)[^&]*")


def existing(url: str) -> str:
    """`url` itself; UserError when it is an SQLite file that is not there, which reading must not create."""
    file = sqlite_file(url)
    if file is not None and not file.exists():
        raise UserError(
            f"a database must exist to be read, got {shown(url)}: no such file; make one with `evotune search`, "
            f"or name another with --db or {VARIABLE}"
        )
    return url


def sqlite_file(url: str) -> Path | None:
    """The file of an SQLite database (a plain path or an sqlite URL), None for a server or one in memory."""
    if "://" not in url:
        return Path(url).expanduser()
    if not url.startswith("sqlite"):
        return None
    path = url.partition(":///")[2].partition("?")[0]
    return Path(path) if path and path != ":memory:" else None


def shown(url: str) -> str:
    """`url` with its password hidden, wherever it has one: before the last @, or in the query."""
    scheme, mark, rest = url.partition("://")
    if not mark:
        return url
    user, at, place = rest.rpartition("@")
    name, colon, _ = user.partition(":")
    hidden = f"{name}:***@" if colon else f"{user}{at}"
    return f"{scheme}://{hidden}{PASSWORD_IN_QUERY.sub('***', place)}"


def option(url: str) -> str:
    """What a printed command needs to use this database: ` --db URL`, or nothing when it is the default here."""
    default = os.environ.get(VARIABLE) or DEFAULT
    return "" if url == default else f" --db {shlex.quote(shown(url))}"
