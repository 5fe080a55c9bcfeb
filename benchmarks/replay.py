"""Samplers compared on recorded spaces, with no compiler and no device.

    python benchmarks/replay.py FOLDER [--samplers evolution,tpe] [--seeds 20] [--budget 200] [--in-flight 1]
        [--processes 2] [--json FILE] [--plot FILE.png] [--ablation] [--spaces NAME,NAME] [--no-peers]

FOLDER holds a recording a file: CSV (a column for each parameter, then time_ms, empty where it failed), also gzipped,
or the tuning community's T4 JSON. Figures are defined in replay_metrics.py; a ± is a standard error over seeds.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.replay_ablation import VARIANTS
from benchmarks.replay_report import Result, family_table, plot, space_table, table, write_json
from benchmarks.replay_runs import Job, run_all
from evotune.replay import Recording, RecordingError, load_recordings
from evotune.samplers import SAMPLERS


def main() -> None:
    options = _options()
    try:
        recordings = _chosen(load_recordings(options.folder), options.spaces)
    except RecordingError as error:
        sys.exit(f"error: {error}")
    started = time.monotonic()
    results = _replay(recordings, options)
    runs = len(recordings) * options.seeds * len(results)
    print(f"{runs} searches of {options.budget} evaluations in {time.monotonic() - started:.0f} s\n", file=sys.stderr)
    public = {recording.name for recording in recordings} >= {"conv-TITANRTX", "gemm-TITANRTX", "pnpoly_ktt-RTX3090"}
    print(table(results, peers=options.peers and public and options.in_flight == 1))
    print(f"\n{family_table(results)}\n\n{space_table(results)}")
    if options.json:
        write_json(results, options.json)
    if options.plot:
        plot(results, recordings, options.plot)


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


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--samplers", type=_samplers, default=["evolution"])
    parser.add_argument("--spaces", type=lambda text: text.split(","), default=None)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--budget", type=int, default=200)
    parser.add_argument("--in-flight", type=int, default=1)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--ablation", action="store_true", help="also the evolution sampler without its parts")
    parser.add_argument("--no-peers", dest="peers", action="store_false")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    return parser.parse_args()


def _samplers(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in SAMPLERS and name not in VARIANTS:
            known = ", ".join([*SAMPLERS, *VARIANTS])
            raise argparse.ArgumentTypeError(f"a sampler must be one of {known}, got {name!r}")
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
