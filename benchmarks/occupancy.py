"""Print the resources of the builds of a `--build-only` search, as a table by the values of a parameter.

    evotune search --target sm_89 --build-only --budget 1300 --db builds.db
    python benchmarks/occupancy.py builds.db [--search 1] [--by tile_m]

For the builds without spills, it prints the minimum, median and maximum of registers, shared memory, blocks per
multiprocessor, occupancy and waves at the search's workload. The number of blocks follows from registers (allocated to
a warp in units of 256, with a quarter of all for each of the four schedulers), shared memory (with 1 KB that the system
reserves for each block) and threads, as in CUDA's occupancy calculator for compute capability 8.0 to 9.0.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from evotune.planning.locate import kernel_folder
from evotune.search.build_only import spills
from evotune_db import Database
from evotune_db.records import BuildRecord, SearchRecord, StoredSearch
from evotune_workers.kernel.contract import Configuration, Geometry, Kernel, Value
from evotune_workers.kernel.folder import load_kernel, named_workload
from evotune_workers.kernel.targets import known_device

HEADINGS = "| {by} | builds | registers | shared memory, KB | blocks of a multiprocessor | occupancy | waves |"
WARP, SCHEDULERS, REGISTER_UNIT, SYSTEM_SHARED_BYTES = 32, 4, 256, 1024


@dataclass(frozen=True)
class Row:
    """The resources of one build at the workload."""

    registers: int
    shared_bytes: int
    blocks: int
    occupancy: float
    waves: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("db")
    parser.add_argument("--search", type=int, default=1)
    parser.add_argument("--by", default="tile_m")
    options = parser.parse_args()
    with Database.open(options.db) as database:
        stored, builds = database.load_search(options.search), database.builds(options.search)
    spilling = sum(any(map(spills, each)) for each in builds.values())
    print(f"{len(builds) - spilling} of {len(builds)} without spills")
    print(HEADINGS.format(by=options.by))
    print("|---" * HEADINGS.count(" | ") + "|---|")
    rows = _rows(stored, builds, options.by)
    for value in sorted(rows):
        print(_line(str(value), rows[value]))


def _rows(stored: StoredSearch, builds: Mapping[int, Sequence[BuildRecord]], by: str) -> Mapping[Value, Sequence[Row]]:
    kernel = load_kernel(kernel_folder(stored.record.kernel.name))
    rows: dict[Value, list[Row]] = defaultdict(list)
    for trial in stored.trials:
        for build in builds.get(trial.id, ()):
            if build.registers is not None and not spills(build):
                rows[trial.configuration[by]].append(_row(kernel, stored.record, trial.configuration, build.registers))
    return rows


def _row(kernel: Kernel, record: SearchRecord, configuration: Configuration, registers: int) -> Row:
    variant, workload = kernel.variant_for(record.target), named_workload(kernel, record.workloads[0])
    # With so many resident blocks, a persistent grid has a block for each piece of work, which gives the waves.
    launch = variant.geometry(configuration, workload, resident_blocks=1 << 20)
    assert launch is not None, "only GPUs have multiprocessors"
    limits = known_device(record.target).limits
    blocks = _blocks_of_multiprocessor(launch, registers, limits)
    resident = blocks * limits["multiprocessors"]
    occupancy = blocks * launch.threads / limits["threads_per_multiprocessor"]
    across, down, deep = launch.grid
    return Row(registers, launch.shared_bytes, blocks, occupancy, across * down * deep / resident)


def _blocks_of_multiprocessor(launch: Geometry, registers: int, limits: Mapping[str, int]) -> int:
    warps = -(-launch.threads // WARP)
    of_a_warp = -(-registers * WARP // REGISTER_UNIT) * REGISTER_UNIT
    fitting_warps = limits["registers_per_multiprocessor"] // SCHEDULERS // of_a_warp * SCHEDULERS
    shared = limits["shared_memory_per_multiprocessor"] // (launch.shared_bytes + SYSTEM_SHARED_BYTES)
    threads = limits["threads_per_multiprocessor"] // launch.threads
    return min(fitting_warps // warps, shared, threads, limits["blocks_per_multiprocessor"])


def _line(value: str, rows: Sequence[Row]) -> str:
    columns: tuple[tuple[Callable[[Row], float], str], ...] = (
        (lambda row: row.registers, ".0f"),
        (lambda row: row.shared_bytes / 1024, ".0f"),
        (lambda row: row.blocks, ".0f"),
        (lambda row: row.occupancy, ".0%"),
        (lambda row: row.waves, ".2f"),
    )
    cells = (_spread([figure(row) for row in rows], form) for figure, form in columns)
    return f"| {value} | {len(rows)} | {' | '.join(cells)} |"


def _spread(values: list[float], form: str) -> str:
    return " / ".join(format(each, form) for each in (min(values), statistics.median_low(values), max(values)))


if __name__ == "__main__":
    main()
