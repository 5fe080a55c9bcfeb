"""Run Kernel Tuner's strategies on recorded spaces, if it is installed, as its own simulation mode does.

The simulation mode needs a cache file and sources. A strategy only sees a search space, a cost and a budget, which are
Kernel Tuner's own classes here, too. A configuration counts once, failed or not; an invalid one costs nothing.
"""

from __future__ import annotations

import contextlib
import importlib.util
import random
import time
import warnings
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from evotune.replay import Recording

Array = npt.NDArray[np.float64]

PREFIX = "kernel_tuner:"
# Stop a strategy that has converged and asks for the same configurations for ever.
MOST_REPEATS = 100
_PARTS = ("compile_time", "verification_time", "benchmark_time", "strategy_time", "framework_time")


def strategies() -> list[str]:
    """Return Kernel Tuner's strategies as `kernel_tuner:NAME`, none if it is not installed."""
    if importlib.util.find_spec("kernel_tuner") is None:
        return []
    from kernel_tuner.interface import strategy_map

    return [f"{PREFIX}{name}" for name in strategy_map]


def run_strategy(recording: Recording, strategy: str, seed: int, budget: int) -> tuple[Array, float]:
    """Return the times of the configurations that the strategy tried, in order, and the seconds that it took.

    There are fewer times than the budget if the strategy ends early, or proposes only known configurations.
    """
    from kernel_tuner.interface import strategy_map
    from kernel_tuner.util import StopCriterionReached, TuningBudget

    _seed(seed)
    answers = _answers(recording, min(budget, len(recording.valid)))
    options = _options(recording, TuningBudget(None, answers.budget))
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(StopCriterionReached):
            strategy_map[strategy].tune(_search_space(recording), answers, options)
    return np.array(list(answers.tried.values())[:budget]), time.perf_counter() - started


def _answers(recording: Recording, budget: int) -> Any:
    from kernel_tuner.runners.runner import Runner
    from kernel_tuner.util import InvalidConfig, RuntimeFailedConfig, StopCriterionReached

    class Answers(Runner):
        """Look up the times that a runner would measure."""

        def __init__(self) -> None:
            super().__init__()
            self.budget = budget
            self.tried: dict[int, float] = {}
            self.repeats = 0

        def get_device_info(self) -> Any:
            return SimpleNamespace(name="recorded", max_threads=1 << 30)

        def get_environment(self, tuning_options: Any) -> dict[str, Any]:
            return {}

        def run(self, parameter_space: Sequence[Sequence[Any]], tuning_options: Any) -> list[dict[str, Any] | None]:
            return [self._answer(values, tuning_options.budget) for values in parameter_space]

        def _answer(self, values: Sequence[Any], spent: Any) -> dict[str, Any] | None:
            if spent.is_done():
                return None
            configuration = dict(
                zip((p.name for p in recording.valid.parameters), map(_as_python, values), strict=True)
            )
            answer: dict[str, Any] = {**configuration, **dict.fromkeys(_PARTS, 0.0)}
            try:
                i = recording.valid.index(configuration)
            except KeyError:
                self._count_repeat()
                return {**answer, "__error__": InvalidConfig()}
            if i in self.tried:
                self._count_repeat()
            else:
                self.tried[i] = float(recording.times[i])
                spent.add_evaluations(1)
            if np.isnan(self.tried[i]):
                return {**answer, "time": RuntimeFailedConfig(), "__error__": RuntimeFailedConfig()}
            return {**answer, "time": self.tried[i]}

        def _count_repeat(self) -> None:
            self.repeats += 1
            if self.repeats > MOST_REPEATS * budget:
                raise StopCriterionReached("the strategy proposes only configurations that it has tried")

    return Answers()


def _options(recording: Recording, budget: Any) -> Any:
    from kernel_tuner.interface import Options

    return Options(
        objective=["time"],
        objective_higher_is_better=[False],
        strategy_options=Options(max_fevals=budget.max_fevals),
        tune_params=_parameters(recording),
        budget=budget,
        restrictions=[],
        restrictions_unmodified=[],
        metrics=None,
        cache={},
        cachefile=None,
        verbose=False,
        snap=True,
        simulated_time=0,
        time_limit=None,
        max_fevals=budget.max_fevals,
    )


def _search_space(recording: Recording) -> Any:
    from kernel_tuner.searchspace import Searchspace

    cache = {str(i): recording.valid.configuration(i) for i in range(len(recording.valid))}
    return Searchspace(None, None, None, from_cache={"tune_params": _parameters(recording), "cache": cache})


def _parameters(recording: Recording) -> dict[str, list[Any]]:
    return {parameter.name: list(parameter.values) for parameter in recording.valid.parameters}


def _as_python(value: Any) -> Any:
    """Convert a NumPy number, which some strategies return, to a Python number."""
    return value.item() if isinstance(value, np.generic) else value


def _seed(seed: int) -> None:
    """Seed the generators of the process from which strategies draw, torch's among them."""
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
