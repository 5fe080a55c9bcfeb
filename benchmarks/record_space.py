"""Records what every configuration of a space takes on this machine's device, for samplers to be replayed on.

    python benchmarks/record_space.py --out FILE.jsonl [--resume-from FILE.jsonl] [--seconds 540]
        [--space benchmarks/data/attention_h200_record.yaml] [--kernel attention_fwd] [--workload mission]
        [--target auto]

In an order drawn once, beginning with the space's default: what is recorded when the time is up is a uniform sample of
the space, and a later run with --resume-from goes on with the rest, also on another device of the same kind. Then
FILE.csv.gz holds the recording as benchmarks/replay.py reads it, FILE.summary.json what it came to. Builds are made by
the product's own compiler call; recorder/quick.py says what is checked and how it is timed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.recorder.pipeline import build_and_measure
from benchmarks.recorder.quick import QuickMeasurer
from benchmarks.recorder.rows import Row, RowFile, RowsError
from benchmarks.recorder.tables import csv_gz, summary
from evotune.errors import UserError
from evotune.planning.plan import Plan, make_plan
from evotune.planning.preflight import check_this_machine
from evotune.planning.request import SearchRequest
from evotune.planning.versions import git_version, versions
from evotune.search.incumbent import NARROW
from evotune.search.outcomes import refused_build
from evotune.space import SpaceError, ValidSet
from evotune_workers.compilers.builder import BuildJob
from evotune_workers.compilers.candidate import Candidate
from evotune_workers.compilers.select import compiler_for
from evotune_workers.kernel.device import Device
from evotune_workers.kernel.folder import KernelError
from evotune_workers.system.machine_lock import measuring

SPACE = Path(__file__).parent / "data" / "attention_h200_record.yaml"
ORDER_SEED = 0
# A configuration that a busy machine left without a result is tried this often in one run.
ATTEMPTS = 3
ROWS_PER_REPORT = 100


def main() -> None:
    """Records until the space or the time is used up, then writes the table and the summary."""
    options = _options()
    until = time.monotonic() + options.seconds
    try:
        plan = make_plan(_request(options))
        valid = check_this_machine(plan)
        assert plan.device is not None, "a search on this machine knows its device"
        file = RowFile(options.out, facts(plan, plan.device, len(valid)), options.resume_from)
    except (UserError, SpaceError, KernelError, RowsError) as error:
        sys.exit(f"error: {error}")
    before = len(file.rows)
    print(f"{plan.device.name}: {len(valid)} configurations, {before} recorded before", flush=True)
    with contextlib.closing(file):
        Recorder(plan, plan.device, valid, file).run(until)
    print(f"{len(file.rows) - before} more recorded, {len(valid) - len(file.rows)} left", flush=True)
    write_tables(plan, valid, file, options.out)


def _request(options: argparse.Namespace) -> SearchRequest:
    """As a search on this machine would be asked for; nothing is kept in a database, and every budget fits."""
    space, workloads = str(options.space), (options.workload,)
    return SearchRequest("", options.kernel, space, options.target, workloads, budget=1)


class Recorder:
    """Fills a file of rows with the configurations that it does not have yet."""

    def __init__(self, plan: Plan, device: Device, valid: ValidSet, file: RowFile) -> None:
        self._plan, self._device, self._valid, self._file = plan, device, valid, file
        self._measurer = QuickMeasurer(plan.folder, device, plan.variant.name)

    def run(self, until: float) -> None:
        """Until everything is recorded or the clock (monotonic) says so."""
        try:
            build_and_measure(self._plan.folder, self._jobs(), self._take, until)
        finally:
            self._measurer.close()

    def _jobs(self) -> Iterator[BuildJob]:
        recorded = {self._valid.index(row.configuration) for row in self._file.rows}
        plan = self._plan
        for i in order(self._valid):
            if i not in recorded:
                yield BuildJob(i, self._valid.configuration(i), plan.variant.name, plan.target, plan.workloads)

    def _take(self, candidate: Candidate) -> None:
        row = self._row(candidate)
        if row is None:
            print(f"busy, left for a later run: {dict(candidate.configuration)}", flush=True)
            return
        self._file.add(row)
        if len(self._file.rows) % ROWS_PER_REPORT == 0:
            print(progress(self._file.rows), flush=True)

    def _row(self, candidate: Candidate) -> Row | None:
        """None where the machine was too busy, which is not the configuration's fault."""
        build_seconds = candidate.builds[0].build.seconds
        refused = refused_build(candidate, self._plan.space.limits)
        if refused is not None:
            return Row.refused(candidate.configuration, refused, build_seconds)
        for _ in range(ATTEMPTS):
            with measuring() if self._device.kind == "cpu" else contextlib.nullcontext():
                measurement = self._measurer.measure(candidate, incumbent(self._file.rows))
            if not measurement.busy:
                return Row.measured(candidate.configuration, measurement, build_seconds)
        return None


def order(valid: ValidSet) -> list[int]:
    """All numbers of the set, each once: the default, which lets others be stopped early, then drawn uniformly."""
    drawn = [int(i) for i in np.random.default_rng(ORDER_SEED).permutation(len(valid))]
    return drawn if valid.default is None else [valid.default, *(i for i in drawn if i != valid.default)]


def incumbent(rows: Sequence[Row]) -> float | None:
    """The low end of the best speed-up that is known well."""
    known = [row for row in rows if row.ratio_high and row.ratio_low and row.ratio_high <= row.ratio_low * (1 + NARROW)]
    return 1 / min(row.ratio_high or 0.0 for row in known) if known else None


def progress(rows: Sequence[Row]) -> str:
    """One line: how many, how many failed, the best so far."""
    failed = sum(row.failed_gate is not None for row in rows)
    best = min((row for row in rows if row.ratio), key=lambda row: row.ratio or 0.0, default=None)
    found = f", best {best.cold_us:.2f} us ({1 / best.ratio:.3f}x {best.baseline})" if best and best.ratio else ""
    return f"{datetime.now(UTC):%H:%M:%S} {len(rows)} recorded, {failed} failed{found}"


def facts(plan: Plan, device: Device, valid: int) -> dict[str, Any]:
    """What the rows of one run rest on."""
    return {
        "kernel": plan.kernel.name,
        "source_hash": plan.package.source_hash,
        "space": plan.space.name,
        "space_hash": plan.space.space_hash,
        "valid_configurations": valid,
        "workload": plan.workloads[0],
        "target": plan.target,
        "device_name": device.name,
        "device": {"uuid": device.uuid, **device.facts},
        "compiler": compiler_for(plan.target).version(),
        "versions": versions(),
        "git": git_version(plan.folder),
        "begun": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def write_tables(plan: Plan, valid: ValidSet, file: RowFile, out: Path) -> None:
    """The recording and the summary, beside the rows."""
    stem = out.name.removesuffix(".jsonl")
    out.with_name(f"{stem}.csv.gz").write_bytes(csv_gz(file.rows, plan.space.parameters))
    written = {"pieces": file.pieces, **summary(file.rows, len(valid))}
    out.with_name(f"{stem}.summary.json").write_text(json.dumps(written, indent=1) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--resume-from", type=Path)
    parser.add_argument("--seconds", type=float, default=540.0)
    parser.add_argument("--space", type=Path, default=SPACE)
    parser.add_argument("--kernel", default="attention_fwd")
    parser.add_argument("--workload", default="mission")
    parser.add_argument("--target", default="auto")
    return parser.parse_args()


if __name__ == "__main__":
    main()
