"""One search of Kernel Tuner's, in a process of its own.

    python -m benchmarks.beside_kernel_tuner.run JOB.json RESULT.json

As its documentation has it: restrictions as text, `answer` in float64, its own compiler (NVRTC, by the backend for
NVIDIA's Python bindings, its default), its own benchmarking of 7 launches; what it has no option for, an observer does.
"""

from __future__ import annotations

import dataclasses
import json
import random
import sys
import tempfile
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from kernel_tuner import interface

from benchmarks.beside_kernel_tuner.job import Evaluated, TunerJob, TunerResult
from benchmarks.beside_kernel_tuner.kernel import TunedKernel
from benchmarks.beside_kernel_tuner.observer import TOLERANCE, Observer, key
from benchmarks.beside_kernel_tuner.space import TunerSpace, from_tuner, tuner_space

# Evaluations for each configuration of the budget, should a strategy come back to the same ones for ever.
MOST_REPEATS = 10
PARTS = ("compile_time", "verification_time", "benchmark_time")
PACKAGES = ("kernel_tuner", "python-constraint2", "cuda-bindings", "numpy")


class Timed:
    """A constructor, and how long it took."""

    def __init__(self, constructor: Any) -> None:
        self._constructor = constructor
        self.seconds = 0.0
        self.made: Any = None

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        started = time.perf_counter()
        self.made = self._constructor(*arguments, **options)
        self.seconds = time.perf_counter() - started
        return self.made


def main() -> None:
    job, result = sys.argv[1:]
    outcome = search(TunerJob(**json.loads(Path(job).read_text())))
    Path(result).write_text(json.dumps(dataclasses.asdict(outcome)))


def search(job: TunerJob) -> TunerResult:
    """The search, and what came of it, even if an error ended it."""
    kernel = TunedKernel(job.workload, job.limits)
    space = tuner_space(kernel.space, kernel.workload, job.limits)
    observer, searchspace = Observer(kernel, space, job.budget), Timed(interface.Searchspace)
    random.seed(job.seed)
    np.random.seed(job.seed)
    arguments, answer = kernel.arguments_and_answer()
    called, ended, results = time.time(), None, list[dict[str, Any]]()
    try:
        with tempfile.TemporaryDirectory() as headers, mock.patch.object(interface, "Searchspace", searchspace):
            results = call(job, kernel, space, observer, arguments, answer, Path(headers))
    except Exception as error:  # whatever Kernel Tuner lets through ended its search
        ended = f"{type(error).__name__}: {error}"
    start_up, seconds = called - job.started, time.time() - called
    failed = sum("__error__" in each for each in results)
    return dataclasses.replace(
        summary(space, observer, seconds - searchspace.seconds),
        configurations=0 if searchspace.made is None else int(searchspace.made.size),
        start_up=start_up,
        enumeration=searchspace.seconds,
        failed=failed,
        ended=ended,
    )


def call(
    job: TunerJob,
    kernel: TunedKernel,
    space: TunerSpace,
    observer: Observer,
    arguments: list[Any],
    answer: list[Any],
    headers: Path,
) -> list[dict[str, Any]]:
    """Kernel Tuner's `tune_kernel`, and its results."""
    results, _ = interface.tune_kernel(
        kernel.variant.entry,
        kernel.source,
        kernel.grid,
        arguments,
        dict(space.parameters),
        grid_div_x=[],
        grid_div_y=[],
        grid_div_z=[],
        restrictions=list(space.restrictions),
        answer=answer,
        lang="nvcuda",
        smem_args={"size": observer.shared_bytes},
        defines=kernel.macros(),
        compiler_options=kernel.compiler_options(headers),
        strategy=job.strategy,
        strategy_options={"max_fevals": MOST_REPEATS * job.budget, "time_limit": job.time_limit},
        observers=[observer],
        metrics={"checked_time": observer.checked_time},
        objective="checked_time",
        objective_higher_is_better=False,
        quiet=True,
    )
    return list(results)


def summary(space: TunerSpace, observer: Observer, seconds: float) -> TunerResult:
    """The figures of the evaluations, which took so many seconds in all; of a repeated one, those of the first time."""
    distinct: dict[tuple[Any, ...], dict[str, Any]] = {}
    for each in observer.evaluations:
        distinct.setdefault(key(space, each), each)
    right = [each for each in distinct.values() if each["error"] <= TOLERANCE]
    parts = [sum(each[name] for each in distinct.values()) / 1e3 for name in PARTS]
    return TunerResult(
        versions={package: metadata.version(package) for package in PACKAGES},
        compilation=parts[0],
        verification=parts[1],
        benchmarking=parts[2],
        other=seconds - sum(parts),
        evaluations=len(observer.evaluations),
        distinct=len(distinct),
        wrong=len(distinct) - len(right),
        ranked=tuple(evaluated(space, each) for each in sorted(right, key=lambda each: float(each["time"]))),
    )


def evaluated(space: TunerSpace, result: Mapping[str, Any]) -> Evaluated:
    """One of Kernel Tuner's results, whose times are in ms."""
    configuration = from_tuner({name: result[name] for name in space.parameters})
    return Evaluated(configuration, 1e3 * float(result["time"]), result["error"])


if __name__ == "__main__":
    main()
