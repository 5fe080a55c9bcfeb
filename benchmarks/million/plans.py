"""The plans of the statements that evotune itself sends, as the server's auto_explain tells them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

_ON = (
    "LOAD 'auto_explain'",
    "SET auto_explain.log_min_duration = 0",
    "SET auto_explain.log_analyze = on",
    "SET auto_explain.log_buffers = on",
    "SET client_min_messages = log",
)
_WIDTH = 118


@contextmanager
def explained(engine: Engine) -> Iterator[list[str]]:
    """Fills a list with a text for each statement of the engine's connections that are opened meanwhile."""
    told: list[str] = []

    def begin(connection: Any, record: Any) -> None:
        for statement in _ON:
            connection.execute(statement)
        connection.commit()
        connection.add_notice_handler(lambda notice: told.append(_readable(notice.message_primary or "")))

    engine.dispose()
    event.listen(engine, "connect", begin)
    try:
        yield told
    finally:
        event.remove(engine, "connect", begin)
        engine.dispose()


def once(told: Sequence[str]) -> list[str]:
    """The first plan of each statement, with how many more there were."""
    plans: dict[str, list[str]] = {}
    for plan in told:
        plans.setdefault(plan.splitlines()[1], []).append(plan)
    return [each[0] + (f"\n(and {len(each) - 1} more such)" if len(each) > 1 else "") for each in plans.values()]


def _readable(plan: str) -> str:
    """The plan with the beginning of its statement, which names its table, in the place of the whole."""
    duration, *lines = plan.splitlines()
    start = next(place for place, line in enumerate(lines) if "(cost=" in line)
    statement = " ".join(" ".join(lines[:start]).split())
    return "\n".join([duration, *(_cut(line) for line in (statement, *lines[start:]))])


def _cut(line: str) -> str:
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 4]} ..."
