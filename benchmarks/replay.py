"""Samplers compared on recorded spaces, with no compiler and no device.

    python benchmarks/replay.py FOLDER [--samplers evolution,tpe] [--seeds 20] [--budget 200] [--in-flight 1]
        [--processes 2] [--json FILE] [--plot FILE.png] [--ablation] [--spaces NAME,NAME] [--peers FILE] [--no-peers]

FOLDER holds a recording a file: CSV (a column for each parameter, then time_ms, empty where it failed), also gzipped,
or the tuning community's T4 JSON. Figures are defined in replay_metrics.py; a ± is a standard error over seeds. Where
Kernel Tuner is installed, `kernel_tuner:genetic_algorithm` and the like are samplers too. The first sampler is compared
with the best of all others, space by space: those of FILE (JSON of an earlier run with the same --budget and
--in-flight) are among them, without it those of benchmarks/results/replay_peers.json where 200 evaluations are made one
at a time, as they were. With several samplers, a table tells what choosing among them is worth on a family of kernels
that they were not chosen by.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import replay_kernel_tuner
from benchmarks.replay_ablation import VARIANTS
from benchmarks.replay_peers import PEERS_FILE, Peer, load_peers
from benchmarks.replay_report import (
    Result,
    family_table,
    left_out_table,
    plot,
    rival_table,
    space_table,
    table,
    write_json,
)
from benchmarks.replay_runs import Job, NothingTried, run_all
from evotune.replay import Recording, RecordingError, load_recordings
from evotune.samplers import SAMPLERS


def main() -> None:
    options = read_options()
    started = time.monotonic()
    try:
        recordings = _chosen(load_recordings(options.folder), options.spaces)
        peers = peers_of(options)
        results = _replay(recordings, options)
    except (RecordingError, NothingTried) as error:
        sys.exit(f"error: {error}")
    runs = len(recordings) * options.seeds * len(results)
    print(f"{runs} searches of {options.budget} evaluations in {time.monotonic() - started:.0f} s\n", file=sys.stderr)
    print(table(results, peers))
    tables = (family_table(results), space_table(results), rival_table(results, peers), left_out_table(results))
    print("\n" + "\n\n".join(filter(None, tables)))
    if options.json:
        write_json(results, options.json)
    if options.plot:
        plot(results, recordings, options.plot)


def peers_of(options: argparse.Namespace) -> list[Peer]:
    """Those of the file that was given, else the public ones where they were asked for as many, one at a time."""
    if options.peers is not None:
        return load_peers(options.peers)
    comparable = (options.in_flight, options.budget) == (1, 200)
    return load_peers(PEERS_FILE) if comparable and not options.no_peers else []


def _replay(recordings: Sequence[Recording], options: argparse.Namespace) -> list[Result]:
    samplers = [*options.samplers, *(VARIANTS if options.ablation else ())]
    jobs = [
        Job(recording, sampler, seed, options.budget, options.in_flight)
        for sampler in samplers
        for recording in range(len(recordings))
        for seed in range(options.seeds)
    ]
    runs = iter(run_all(recordings, jobs, options.processes))
    return [
        Result.of(sampler, recordings, [[next(runs) for _ in range(options.seeds)] for _ in recordings])
        for sampler in samplers
    ]


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--samplers", type=_samplers, default=["evolution"])
    parser.add_argument("--spaces", type=lambda text: text.split(","), default=None)
    parser.add_argument("--seeds", type=_count, default=20)
    parser.add_argument("--budget", type=_count, default=200)
    parser.add_argument("--in-flight", type=_count, default=1)
    parser.add_argument("--processes", type=_count, default=os.cpu_count())
    parser.add_argument("--ablation", action="store_true", help="also the evolution sampler without its parts")
    peers = parser.add_mutually_exclusive_group()
    peers.add_argument("--peers", type=Path, help="samplers to compare with: a file of --json")
    peers.add_argument("--no-peers", action="store_true", help="compare with none but those of this run")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args(arguments)
    if options.in_flight > 1 and any(name.startswith(replay_kernel_tuner.PREFIX) for name in options.samplers):
        parser.error(f"Kernel Tuner's strategies have one proposal in flight, got --in-flight {options.in_flight}")
    return options


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return int(text)


def _samplers(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        tuner = replay_kernel_tuner.strategies() if name.startswith(replay_kernel_tuner.PREFIX) else []
        known = [*SAMPLERS, *VARIANTS, *tuner]
        if name not in known:
            more = "" if tuner else f"; {replay_kernel_tuner.PREFIX}NAME where kernel_tuner is installed"
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
