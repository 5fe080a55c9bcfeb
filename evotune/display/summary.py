"""The summary of a search, for people and for scripts, and the commands to continue with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evotune import database_url
from evotune.display import build_summary, replay_summary, serialise
from evotune.display.leaderboard import proof
from evotune.display.terminal import assignments, counts, duration, microseconds, speedup
from evotune.planning.request import SearchRequest, resume_command
from evotune.search.result import SearchResult

if TYPE_CHECKING:
    from evotune_db.records import LeaderboardEntry

NOTHING_PASSED = 1
INTERRUPTED = 130


def exit_code(result: SearchResult, request: SearchRequest) -> int:
    """Return 0 when a trial passed (or built, where nothing is measured), 1 when none did, 130 after an interruption.

    Reaching a time limit is no interruption.
    """
    out_of_time = request.time_limit is not None and result.seconds >= request.time_limit
    if result.state == "interrupted" and not out_of_time:
        return INTERRUPTED
    stand = result.passed if result.builds is None else result.builds.built
    return 0 if stand else NOTHING_PASSED


def as_json(result: SearchResult) -> dict[str, Any]:
    """Return the result in the types of JSON, with any password of the database hidden."""
    return {**serialise.fields(result), "db": database_url.shown(result.db)}


def as_text(result: SearchResult, request: SearchRequest) -> str:
    """Return the winner, the first failure at each gate, and the commands to see it, export it and continue.

    For a search that only builds, and for one of a recording, return their own figures and commands.
    """
    if result.replay is not None:
        lines = [_outcome(result), *replay_summary.lines(result.replay), "", *replay_summary.commands(result)]
    elif result.builds is not None:
        lines = [_outcome(result), *build_summary.table(result.builds), "", *build_summary.commands(result)]
    else:
        lines = [_outcome(result), *_failures(result), *_winner(result.best), "", *_commands(result, request)]
    if result.state == "interrupted":
        lines.append(f"go on:      {resume_command(result.search_id, request)}")
    return "\n".join(lines)


def _outcome(result: SearchResult) -> str:
    failed = sum(result.failed_by_gate.values())
    where = f" ({counts(result.failed_by_gate)})" if failed else ""
    end = f"search {result.search_id} {result.state} after {duration(result.seconds)}"
    if result.builds is not None:
        return f"{end}: {result.builds.built} of {result.built} built, {failed} failed{where}"
    if result.replay is not None:
        return f"{end}: {result.built} looked up, {result.passed} passed, {failed} failed"
    idle = "" if result.idle_share is None else f"; GPUs idle {result.idle_share:.0%} of the time"
    reused = f", {result.reused} reused" if result.reused else ""
    return f"{end}: {result.built} built{reused}, {result.passed} passed, {failed} failed{where}{idle}"


def _failures(result: SearchResult) -> list[str]:
    """Return the reason of the first trial that each gate refused."""
    return [f"  {each.gate}: trial {each.trial}, {each.reason}" for each in result.failures]


def _winner(best: LeaderboardEntry | None) -> list[str]:
    if best is None:
        return ["winner: none, no trial passed every gate with a complete timing"]
    times = f"{microseconds(best.median_us)} against {microseconds(best.baseline_us)}"
    return [
        f"winner: trial {best.trial}, {best.kernel} {best.workload} on {best.target} ({best.device})",
        f"  {speedup(best.speedup, best.speedup_low, best.speedup_high)} over {best.baseline}: {times}, {proof(best)}",
        f"  {assignments(best.configuration)}",
    ]


def _commands(result: SearchResult, request: SearchRequest) -> list[str]:
    db = database_url.option(result.db)
    commands = []
    if result.best is not None:
        out = f"{result.best.kernel}-{result.best.trial}"
        commands.append(f"see it:     evotune show {result.best.trial}{db}")
        if not result.best.confirmed:
            # Resuming a search that has all its trials confirms its finalists again.
            commands.append(f"confirm it: {resume_command(result.search_id, request)}")
        commands.append(f"export it:  evotune export --trial {result.best.trial} --out {out}{db}")
    commands.append(f"see others: evotune leaderboard --search {result.search_id}{db}")
    return commands
