"""Import the T4 results of any tool as a finished search."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evotune.errors import UserError
from evotune.planning.request import IMPORTED
from evotune.replay.recording import RecordingError
from evotune.replay.recording_file import read_text
from evotune.replay.t4_results import CORRECT, T4Result, read_results
from evotune.search.lease import SearchLease
from evotune.space import configuration_key
from evotune.t4.invalidity import GATES
from evotune_db import Database
from evotune_db.records import GateRecord, KernelRecord, OutcomeRecord, SearchRecord, SpaceRecord

IMPORTED_GATE = "imported"


@dataclass(frozen=True)
class Imported:
    """The summary of an import; `best` is the fastest correct result, None if there is none."""

    search: int
    results: int
    correct: int
    best: T4Result | None


def import_t4(
    database: Database, path: Path, kernel: str, target: str, workload: str, tell: Callable[[str], None]
) -> Imported:
    """Record a T4 file (.json, .json.gz) as a finished search of the sampler `imported`.

    A result that another tool found correct was never run here. So it is recorded as `built`, with its measurements
    under the gate `imported`, and never enters the leaderboard. Any other result is recorded as failed at the gate that
    matches best. `tell` is the one of SearchLease.

    Raises UserError if the file cannot be read, is not in the T4 format, or has a configuration twice.
    """
    try:
        text = read_text(path)
        results = read_results(text, path.name)
    except RecordingError as error:
        raise UserError(str(error)) from error
    _check_distinct(results, path)
    with SearchLease(database, tell) as lease:
        search = lease.start(_record(text, path, len(results), kernel, target, workload))
        for number, result in enumerate(results):
            key = configuration_key(result.configuration)
            trial = database.add_trial(search, number, result.configuration, key)
            database.record_outcome(trial, _outcome(result, workload))
        database.finish_search(search, "finished")
    correct = [result for result in results if result.invalidity == CORRECT]
    best = min(correct, key=lambda result: result.time_ms, default=None)
    return Imported(search, len(results), len(correct), best)


def _check_distinct(results: list[T4Result], path: Path) -> None:
    if not results:
        raise UserError(f"a file to import must have at least one result, got none in {path}")
    seen: set[str] = set()
    for result in results:
        key = configuration_key(result.configuration)
        if key in seen:
            raise UserError(f"a file to import must have each configuration once, got {key} twice in {path}")
        seen.add(key)


def _record(text: str, path: Path, results: int, kernel: str, target: str, workload: str) -> SearchRecord:
    digest = hashlib.sha256(text.encode()).hexdigest()
    return SearchRecord(
        kernel=KernelRecord(kernel, "imported"),
        space=SpaceRecord(path.name, digest, "", results),
        target=target,
        workloads=(workload,),
        sampler=IMPORTED,
        seed=0,
        budget=results,
        options={"kernel": kernel, "space": None, "imported_from": str(path.resolve()), "sha256": digest},
        versions={},
    )


def _outcome(result: T4Result, workload: str) -> OutcomeRecord:
    time: dict[str, Any] = {} if math.isnan(result.time_ms) else {"time_ms": result.time_ms}
    figures = {"invalidity": result.invalidity, "measurements": list(result.measurements), **time}
    if result.invalidity == CORRECT:
        return OutcomeRecord("built", gates=(GateRecord(IMPORTED_GATE, True, workload=workload, figures=figures),))
    reason = f"imported: {result.invalidity}"
    gate = GateRecord(IMPORTED_GATE, False, reason, workload, figures=figures)
    return OutcomeRecord("failed", GATES[result.invalidity], reason, gates=(gate,))
