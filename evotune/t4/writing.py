"""Write a search as T4 results (https://github.com/odgaard/TuningSchema, results and metadata schemas, 1.0.0)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evotune.errors import UserError
from evotune.replay.t4_results import CORRECT
from evotune.suggestions import did_you_mean
from evotune.t4.importing import IMPORTED_GATE
from evotune.t4.invalidity import invalidity
from evotune_db import Database
from evotune_db.records import SearchRecord, TimingRecord, TrialDetails

SCHEMA_VERSION = "1.0.0"
OBJECTIVE = "time"
UNIT = "milliseconds"


def write_t4(database: Database, search: int, workload: str | None, out: Path) -> int:
    """Write all trials of a search that have an outcome to a new file; return the number of results.

    The measurements are those at `workload`, or at the search's first workload. The objective `time` is the median
    cold time of a call. All times are in milliseconds. Speed-ups over the fastest baseline are added as measurements.

    Raises UserError if the file exists, if the search did not measure this workload, or if it has no outcome.
    """
    stored = database.load_search(search)
    chosen = _workload(stored.record, workload)
    results = [
        result
        for trial in stored.trials
        if trial.state in ("passed", "failed", "built")
        for result in _results(database, database.trial(trial.id), chosen)
    ]
    if not results:
        raise UserError(
            f"a search must have a trial with an outcome to be exported, search {search} has none at {chosen}"
        )
    document = {"schema_version": SCHEMA_VERSION, "results": results, "metadata": _metadata(stored.record, chosen)}
    try:
        with out.open("x", encoding="utf-8") as file:
            json.dump(document, file, indent=1)
    except FileExistsError:
        raise UserError(f"the file to export to must be new, got {out}; choose another") from None
    return len(results)


def _workload(record: SearchRecord, wanted: str | None) -> str:
    if wanted is not None and wanted not in record.workloads:
        known = ", ".join(record.workloads)
        hint = did_you_mean(wanted, record.workloads)
        raise UserError(f"the workload must be one of the search's ({known}), got {wanted}; {hint}")
    return wanted or record.workloads[0]


def _results(database: Database, details: TrialDetails, workload: str) -> Iterator[dict[str, Any]]:
    """Yield the result of a trial; nothing if it was only built or its timing stopped early, as it has no time."""
    imported = next((gate for gate in details.gates if gate.gate == IMPORTED_GATE), None)
    if imported is not None:
        yield _result(details, imported.figures["invalidity"], list(imported.figures["measurements"]))
    elif details.trial.state == "failed":
        yield _result(details, invalidity(details.trial.failed_gate, details.trial.reason), [])
    elif details.trial.state == "passed":
        owner = details if details.same_binary_as is None else database.trial(details.same_binary_as)
        timing = _timing(owner, workload)
        if timing is not None:
            yield _result(details, CORRECT, _measurements(timing))


def _result(details: TrialDetails, found: str, measurements: list[dict[str, Any]]) -> dict[str, Any]:
    moment = details.finished or details.proposed
    return {
        "timestamp": moment.isoformat(),
        "configuration": dict(details.trial.configuration),
        "objectives": [OBJECTIVE],
        "times": {
            "compilation_time": sum(build.seconds for build in details.builds) * 1e3,
            "runtimes": [each["value"] for each in measurements if each["name"] == OBJECTIVE],
            "validation": sum(gate.seconds or 0.0 for gate in details.gates) * 1e3,
        },
        "invalidity": found,
        "correctness": int(found == CORRECT),
        "measurements": measurements,
    }


def _timing(details: TrialDetails, workload: str) -> TimingRecord | None:
    """Return the last complete cold timing: a confirmation, made later, is more reliable than the search's own."""
    complete = [each for each in details.timings if each.workload == workload and each.mode == "cold"]
    return next((each for each in reversed(complete) if not each.censored), None)


def _measurements(timing: TimingRecord) -> list[dict[str, Any]]:
    speedups = {"speedup": timing.speedup, "speedup_low": timing.speedup_low, "speedup_high": timing.speedup_high}
    return [
        {"name": OBJECTIVE, "value": timing.median_us / 1e3, "unit": UNIT},
        {"name": f"baseline_{timing.baseline}", "value": timing.baseline_us / 1e3, "unit": UNIT},
        *({"name": name, "value": value, "unit": ""} for name, value in speedups.items()),
    ]


def _metadata(record: SearchRecord, workload: str) -> dict[str, Any]:
    return {
        "environment": {"requirements": {name: str(value) for name, value in record.versions.items()}},
        "evotune": {
            "kernel": record.kernel.name,
            "source_hash": record.kernel.source_hash,
            "target": record.target,
            "workload": workload,
            "sampler": record.sampler,
            "seed": record.seed,
        },
    }
