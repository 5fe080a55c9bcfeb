"""Column types that mean the same on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Double, Integer, Text, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB

# SQLite numbers rows by itself only where the type reads exactly INTEGER, which holds 64 bits there.
Id = BigInteger().with_variant(Integer(), "sqlite")
Json = JSON().with_variant(JSONB(), "postgresql")
# The types of which JSON has every value.
EXACT_IN_JSON = frozenset((int, str, bool, type(None)))
# None is NULL, and not JSON's null.
NullableJson = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: any timezone-aware datetime is stored, and returned in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC, without the zone on SQLite, which stores text."""
        if value is None:
            return None
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Add the zone UTC, whatever zone the server's session is in."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class ForeignText(TypeDecorator[str]):
    """Text that a compiler or a crashed kernel wrote; characters that no database stores are replaced."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Replace characters that cannot be stored."""
        return None if value is None else storable(value)


class Finite(TypeDecorator[float]):
    """A figure, NULL where it is infinite or not a number, so that no query takes it for a value."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:
        """Return a finite figure, else None."""
        return finite(value)


def finite(value: float | None) -> float | None:
    """Return a figure, None where it is infinite or not a number."""
    return value if value is not None and math.isfinite(value) else None


def finite_or_text(value: Any) -> Any:
    """Return figures with NaN and infinities as the text nan, inf and -inf, since JSON has no numbers for them."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: item if type(item) in EXACT_IN_JSON else finite_or_text(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [item if type(item) in EXACT_IN_JSON else finite_or_text(item) for item in value]
    return value


def storable(text: str) -> str:
    """Return `text` with NUL (which PostgreSQL refuses) and lone surrogates (which are no UTF-8) replaced."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")


def to_json(value: object) -> str:
    """Return compact JSON; raises ValueError for NaN and infinities, TypeError for types that JSON does not have."""
    text = _encode(value)
    if "\\u0000" in text or "\\ud" in text:
        text = _encode(_storable_tree(json.loads(text)))
    return text


def _as_dict(value: object) -> dict[Any, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a JSON field must hold str, int, float, bool, None, lists and mappings, got {value!r}")


# json.dumps would make an encoder for each value, which takes longer than to encode a small value.
_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":"), default=_as_dict).encode


def _storable_tree(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list):
        return [_storable_tree(item) for item in value]
    if isinstance(value, dict):
        return {storable(key): _storable_tree(item) for key, item in value.items()}
    return value
