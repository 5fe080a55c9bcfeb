"""The effects of parameters on the time of a kernel, estimated from the stored trials of a search.

The estimate is the one that guides the `evolution` sampler. It is computed from the trials each time and not stored.
So it works for a search of any sampler and always agrees with its trials.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from evotune.errors import UserError
from evotune.planning.request import IMPORTED, RECORDED
from evotune.replay.recording import parameters_of
from evotune.samplers.history import FAILED, History, Observation
from evotune.samplers.insight import Effect, Insight
from evotune.samplers.settings import Settings
from evotune.space import Parameter, ValidSet
from evotune.space.space_file import parse_space
from evotune_db import Database
from evotune_db.records import LeaderboardEntry, LeaderboardFilter, SearchRecord, StoredSearch, StoredTrial
from evotune_workers.kernel.contract import Value

# A value is settled as slower if its effect is worse than that of the best trial's value by so many standard errors.
# None of the best trials may have it, since a value that is slow on average may be fast with other parameters.
SETTLED_ERRORS = 2.0
LEADERS = Settings().elites

Codes = npt.NDArray[np.integer]
Standing = Literal["best", "slower", "open", "untried"]


@dataclass(frozen=True)
class ValueInsight:
    """One value of a parameter. `standing`: the value is the `best` trial's, settled as `slower`, `open`, or `untried`.

    `effect_percent`: the additional time (negative: less time) of trials with this value over the parameter's average
    value, everything else alike. `low_percent` and `high_percent` are one standard error off. None without a trial.
    """

    value: Value
    standing: Standing
    effect_percent: float | None
    low_percent: float | None
    high_percent: float | None
    passed: int
    failed: int


@dataclass(frozen=True)
class ParameterInsight:
    """One parameter. `size`: the spread of its values' effects, `uncertainty`: their mean standard error.

    Both are in standard deviations of the log of what is minimised, over all trials that passed.
    """

    parameter: str
    size: float
    uncertainty: float
    values: tuple[ValueInsight, ...]


@dataclass(frozen=True)
class PairInsight:
    """The effect of two parameters together beyond their own effects; `size` and `uncertainty` as of a parameter.

    `tried` of `combinations` of their values are in some trial; combinations that the space forbids are counted, too.
    """

    first: str
    second: str
    size: float
    uncertainty: float
    tried: int
    combinations: int
    best: Mapping[str, Value]


@dataclass(frozen=True)
class SearchInsight:
    """The effects estimated from `trials` outcomes; parameters and pairs by size, the largest first."""

    trials: int
    failed: int
    parameters: tuple[ParameterInsight, ...]
    pairs: tuple[PairInsight, ...]


@dataclass(frozen=True)
class SearchDetails:
    """A stored search, its best entry of the leaderboard at each workload, and the effects of its parameters.

    The field names are the keys of its JSON form.
    """

    search: StoredSearch
    winners: tuple[LeaderboardEntry, ...]
    insight: SearchInsight


def search_details(database: Database, search: int) -> SearchDetails:
    """Load a search with its best entries, and estimate the effects of its parameters."""
    stored = database.load_search(search)
    winners = tuple(database.leaderboard(LeaderboardFilter(search=search, top=1)))
    return SearchDetails(stored, winners, search_insight(stored))


def search_insight(stored: StoredSearch) -> SearchInsight:
    """Estimate the effects in a stored search; ignore trials that have no outcome or were only built."""
    parameters = parameters_in(stored.record)
    told = [trial for trial in stored.trials if trial.state == "failed" or trial.objective is not None]
    seen = ValidSet.of(parameters, [trial.configuration for trial in told])
    history = _history(seen, told)
    insight = Insight.of(parameters, seen.codes, history)
    leaders = seen.codes[history.measured[np.lexsort((history.values, history.censored))][:LEADERS]]
    varied = [j for j, parameter in enumerate(parameters) if len(parameter.values) > 1]
    ones = [_of_parameter(parameters[j], insight.effects[j], leaders[:, j], insight.deviation) for j in varied]
    pairs = [_of_pair((parameters[j], parameters[k]), effect) for (j, k), effect in insight.pairs.items()]
    return SearchInsight(
        trials=len(told),
        failed=sum(trial.state == "failed" for trial in told),
        parameters=tuple(sorted(ones, key=lambda one: (-one.size, -one.uncertainty))),
        pairs=tuple(sorted(pairs, key=lambda pair: (-pair.size, -pair.uncertainty))),
    )


def parameters_in(record: SearchRecord) -> tuple[Parameter, ...]:
    """Return the parameters of a search's recorded space; UserError for an imported search, which has no space."""
    if record.sampler == IMPORTED:
        raise UserError(
            "a search must have run here to be shown, this one was imported; `evotune show TRIAL` shows one"
        )
    if record.target == RECORDED:
        return parameters_of(record.space.text)
    return parse_space(record.space.text, record.space.name).parameters


def _history(seen: ValidSet, told: Sequence[StoredTrial]) -> History:
    outcomes = [
        Observation(
            seen.index(trial.configuration), FAILED if trial.objective is None else trial.objective, trial.censored
        )
        for trial in told
    ]
    return History.of(outcomes, [])


def _of_parameter(parameter: Parameter, effect: Effect, leaders: Codes, deviation: float) -> ParameterInsight:
    standings = [_standing(effect, code, leaders.tolist()) for code in range(len(parameter.values))]
    values = tuple(_of_value(parameter, effect, code, standings[code], deviation) for code in range(len(standings)))
    return ParameterInsight(parameter.name, effect.size, effect.uncertainty, values)


def _of_value(parameter: Parameter, effect: Effect, code: int, standing: Standing, deviation: float) -> ValueInsight:
    mean, error, passed = float(effect.means[code]), float(effect.errors[code]), int(effect.counts[code])
    known = [_percent(deviation * at) if passed else None for at in (mean, mean - error, mean + error)]
    failed = int(effect.failures[code])
    return ValueInsight(parameter.values[code], standing, known[0], known[1], known[2], passed, failed)


def _standing(effect: Effect, code: int, leaders: Sequence[int]) -> Standing:
    """Classify a value; `leaders` are the values of the best trials, the best first."""
    if not effect.counts[code]:
        return "open" if effect.failures[code] else "untried"
    best = leaders[0]
    if code in leaders:
        return "best" if code == best else "open"
    difference = effect.means[code] - effect.means[best]
    uncertainty = SETTLED_ERRORS * float(np.hypot(effect.errors[code], effect.errors[best]))
    return "slower" if difference > uncertainty else "open"


def _of_pair(pair: tuple[Parameter, Parameter], effect: Effect) -> PairInsight:
    first, second = pair
    tried = int(np.count_nonzero(effect.counts + effect.failures))
    best: dict[str, Value] = {}
    if effect.counts.any():
        lowest = np.where(effect.counts > 0, effect.means, np.inf).argmin()
        i, j = np.unravel_index(lowest, effect.means.shape)
        best = {first.name: first.values[int(i)], second.name: second.values[int(j)]}
    return PairInsight(first.name, second.name, effect.size, effect.uncertainty, tried, effect.means.size, best)


def _percent(log_ratio: float) -> float:
    return 100.0 * float(np.expm1(log_ratio))
