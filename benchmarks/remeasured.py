"""Compare a search's leaderboard with a new measurement, on another day or another machine of the same kind.

    python benchmarks/remeasured.py --db evotune.db [--search N] [--top 20] [--out FILE]

It builds the best trials of a search again, runs every gate on inputs that no search uses, and times them interleaved
in one process. It prints Kendall's tau of the two rankings, the number of pairs that changed order and differ by more
than 1 %, and the winner's regret: by how much the leaderboard's first trial is slower than the fastest one now.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from scipy.stats import kendalltau

from benchmarks.shared.results_file import write_results
from evotune.planning.seeds import confirmation_seeds
from evotune.trials.device import device_that_measured
from evotune.trials.rebuild import rebuilt
from evotune.trials.select import folder_of
from evotune_db import Database
from evotune_db.records import LeaderboardEntry, LeaderboardFilter
from evotune_workers.kernel.device import Device
from evotune_workers.kernel.folder import load_kernel
from evotune_workers.measuring.jobs import ConfirmJob
from evotune_workers.measuring.measurer import Measurer

# A change of order between trials that are closer than this does not matter to a user.
CLOSE = 0.01


@dataclass(frozen=True)
class Pair:
    """One trial's figures on the leaderboard and now; times are cold medians in microseconds."""

    rank: int
    trial: int
    then_us: float
    then_speedup: float
    now_us: float
    now_speedup: float


@dataclass(frozen=True)
class Agreement:
    """The agreement of two rankings.

    `overtaken`: the number of pairs that changed order and differ by more than `CLOSE` in speed-up now. `regret`: as a
    fraction of the time.
    """

    tau: float
    overtaken: int
    pairs: int
    regret: float


def main() -> None:
    """Measure the trials; print and write a row for each, and the agreement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--db", required=True, type=Path)
    parser.add_argument("--search", type=int, help="number of the search; default: the last one")
    parser.add_argument("--top", type=int, default=20)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    database = Database.open(f"sqlite:///{options.db.absolute()}")
    search = options.search or database.searches()[-1].id
    entries = database.leaderboard(LeaderboardFilter(search=search, top=options.top))
    device, now = measure(database, entries)
    pairs = [
        Pair(entry.rank, entry.trial, entry.median_us, entry.speedup, *now[entry.trial])
        for entry in entries
        if entry.trial in now
    ]
    found = agreement(pairs)
    print_table(device, pairs, found)
    if options.out is not None:
        write_results(options.out, device, {"agreement": found, "trials": pairs})


def measure(database: Database, entries: Sequence[LeaderboardEntry]) -> tuple[Device, dict[int, tuple[float, float]]]:
    """Return the median (us) and the speed-up of each trial that passes again, timed interleaved."""
    device = device_that_measured(entries[0], "measured again")
    details = database.trial(entries[0].trial)
    folder, record = folder_of(details), details.record
    variant = load_kernel(folder).variant_for(record.target).name
    trials = [database.trial(entry.trial) for entry in entries]
    with ThreadPoolExecutor() as pool:
        candidates = tuple(pool.map(lambda trial: rebuilt(trial, folder, variant, entries[0].workload), trials))
    job = ConfirmJob(candidates, variant, confirmation_seeds(record.seed + 1))
    measurer = Measurer(folder, device)
    measurements = measurer.run(job)
    measurer.close()
    now: dict[int, tuple[float, float]] = {}
    for entry, measurement in zip(entries, measurements, strict=True):
        if measurement.timings:
            now[entry.trial] = (measurement.timings[0].median_us, measurement.timings[0].speedup)
        else:
            print(f"trial {entry.trial} is left out: {measurement.reason}")
    return device, now


def agreement(pairs: Sequence[Pair]) -> Agreement:
    """Compare the earlier ranking, which is the order of `pairs`, with the speed-ups now."""
    now = [pair.now_speedup for pair in pairs]
    both = list(itertools.combinations(now, 2))
    tau = kendalltau([-pair.rank for pair in pairs], now).statistic
    overtaken = sum(later / earlier > 1 + CLOSE for earlier, later in both)
    return Agreement(float(tau), overtaken, len(both), max(now) / now[0] - 1)


def print_table(device: Device, pairs: Sequence[Pair], found: Agreement) -> None:
    """Print a row for each trial, then the agreement in a sentence."""
    print(f"| rank | trial | then | now ({device.name}) |")
    print("|---|---|---|---|")
    for pair in pairs:
        then, now = f"{pair.then_us:.3f} us, {pair.then_speedup:.3f}x", f"{pair.now_us:.3f} us, {pair.now_speedup:.3f}x"
        print(f"| {pair.rank} | {pair.trial} | {then} | {now} |")
    print(
        f"Kendall's tau {found.tau:.2f}; {found.overtaken} of {found.pairs} pairs changed order and differ by more"
        f" than {CLOSE:.0%}; winner's regret {found.regret:.2%}"
    )


if __name__ == "__main__":
    main()
