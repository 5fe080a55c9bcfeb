"""Compare samplers on recorded spaces, without a compiler or a device.

    python benchmarks/replay.py FOLDER [--samplers evolution,tpe] [--spaces NAME,NAME] [--seeds 20] [--budget 200]
        [--in-flight 1] [--processes 2] [--peers FILE] [--json FILE]

Each file of FOLDER is a recording: CSV with a column for each parameter, then time_ms, which is empty for a failed
configuration; or T4 JSON of the auto-tuning community. Both may be gzipped. Figures are defined in
replaying/metrics.py; a ± is a standard error over seeds. If Kernel Tuner is installed, its strategies are samplers
such as `kernel_tuner:genetic_algorithm`. On each space, the first sampler is compared with the best of all others.
--peers adds the samplers of a file that --json wrote.

benchmarks/results/replay_peers.json has peers on the 13 public recordings, measured on 2026-11-21 with 20 seeds and 200
sequential evaluations, Kernel Tuner 1.5.0 and Optuna 5.0.0. `Helion-like` and `local search` are re-implementations.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.replaying import kernel_tuner
from benchmarks.replaying.results import Result, read_json, table, versus_best_table, write_json
from benchmarks.replaying.runs import Job, NothingTried, run_all
from evotune.replay import Recording, RecordingError, load_recordings
from evotune.samplers import SAMPLERS


def main() -> None:
    """Replay every sampler on every space, and print the tables."""
    options = _options()
    started = time.monotonic()
    try:
        recordings = _chosen(load_recordings(options.folder), options.spaces)
        peers = read_json(options.peers) if options.peers else []
        results = _replay(recordings, options)
    except (RecordingError, NothingTried) as error:
        sys.exit(f"error: {error}")
    runs = len(recordings) * options.seeds * len(results)
    print(f"{runs} searches of {options.budget} evaluations in {time.monotonic() - started:.0f} s\n", file=sys.stderr)
    print("\n\n".join(filter(None, (table(results, peers), versus_best_table(results, peers)))))
    if options.json:
        write_json(results, options.json)


def _replay(recordings: Sequence[Recording], options: argparse.Namespace) -> list[Result]:
    jobs = [
        Job(recording, sampler, seed, options.budget, options.in_flight)
        for sampler in options.samplers
        for recording in range(len(recordings))
        for seed in range(options.seeds)
    ]
    runs = iter(run_all(recordings, jobs, options.processes))
    return [
        Result.of(sampler, recordings, [[next(runs) for _ in range(options.seeds)] for _ in recordings])
        for sampler in options.samplers
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--samplers", type=_samplers, default=["evolution"])
    parser.add_argument("--spaces", type=lambda text: text.split(","))
    parser.add_argument("--seeds", type=_count, default=20)
    parser.add_argument("--budget", type=_count, default=200)
    parser.add_argument("--in-flight", type=_count, default=1)
    parser.add_argument("--processes", type=_count, default=os.cpu_count())
    parser.add_argument("--peers", type=Path, help="samplers to compare with: a file that --json wrote")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.in_flight > 1 and any(name.startswith(kernel_tuner.PREFIX) for name in options.samplers):
        parser.error(f"Kernel Tuner's strategies have one proposal in flight, got --in-flight {options.in_flight}")
    return options


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return int(text)


def _samplers(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        tuner = kernel_tuner.strategies() if name.startswith(kernel_tuner.PREFIX) else []
        known = [*SAMPLERS, *tuner]
        if name not in known:
            more = "" if tuner else f"; {kernel_tuner.PREFIX}NAME where kernel_tuner is installed"
            raise argparse.ArgumentTypeError(f"a sampler must be one of {', '.join(known)}, got {name!r}{more}")
    return names


def _chosen(recordings: Sequence[Recording], names: Sequence[str] | None) -> list[Recording]:
    if names is None:
        return list(recordings)
    known = {recording.name: recording for recording in recordings}
    for name in names:
        if name not in known:
            raise RecordingError(f"a space must be one of {', '.join(known)}, got {name!r}")
    return [known[name] for name in names]


if __name__ == "__main__":
    main()
