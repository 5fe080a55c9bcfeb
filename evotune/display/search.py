"""A search, its best trials and the effects of its parameters, as tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType

from evotune.display.leaderboard import proof
from evotune.display.table import Fields, Table
from evotune.display.terminal import assignments, changes, microseconds, parameter_value, speedup
from evotune.planning.request import RECORDED
from evotune.planning.warm_start import in_words, recorded_starting_points

if TYPE_CHECKING:
    from evotune.trials.parameter_effects import (
        PairInsight,
        ParameterInsight,
        SearchDetails,
        SearchInsight,
        Standing,
        ValueInsight,
    )
    from evotune_db.records import LeaderboardEntry, StoredSearch, StoredTrial

PAIRS_SHOWN = 8
BEST_SHOWN = 5
# The columns of a parameter's values, by their standing.
STANDINGS: dict[Standing, str] = {
    "best": "best trial's",
    "slower": "slower",
    "open": "open",
    "untried": "never tried",
}


def print_search(details: SearchDetails, target: Console) -> None:
    """Print the search, its best trials, the effects of parameters and of pairs, and what is least known."""
    for part in _parts(details, target):
        target.print(part)


def _parts(details: SearchDetails, target: Console) -> Iterator[RenderableType]:
    yield _properties(details)
    yield ""
    passed = [trial for trial in details.search.trials if trial.objective is not None and not trial.censored]
    if not passed:
        yield "no trial has passed yet, so that nothing is known of what parameters do"
        return
    yield _best(details.search, passed, brief=target.is_terminal)
    yield _parameters(details.insight.parameters, target)
    yield _pairs(details.insight.pairs)
    yield from _ignorance(details.insight)


def _properties(details: SearchDetails) -> Fields:
    search, insight, record = details.search, details.insight, details.search.record
    result = Fields()
    result.add("search", f"{search.id}, {search.state}")
    result.add("kernel", f"{record.kernel.name} ({record.kernel.source_hash[:12]})")
    result.add("workloads", ", ".join(record.workloads))
    result.add("target", record.target + (", nothing was measured here" if record.target == RECORDED else ""))
    result.add("space", f"{record.space.name}, {record.space.valid_configurations} valid configurations")
    result.add("sampler", f"{record.sampler}, seed {record.seed}")
    if starting_points := recorded_starting_points(record):
        result.add("warm start", in_words(starting_points))
    result.add("trials", f"{insight.trials} of {record.budget} told, {insight.failed} of them failed")
    for number, winner in enumerate(details.winners):
        result.add("" if number else "best", _winner(winner))
    return result


def _winner(entry: LeaderboardEntry) -> str:
    """Describe a leaderboard entry. Finalists are timed again, so it may not be the best while the search ran."""
    ratio = speedup(entry.speedup, entry.speedup_low, entry.speedup_high)
    return f"trial {entry.trial} at {entry.workload}: {ratio} over {entry.baseline}, {proof(entry)}"


def _best(search: StoredSearch, passed: Sequence[StoredTrial], brief: bool) -> Table:
    """Return the best trials. `brief`: trials after the first one show only how they differ from it."""
    recorded = search.record.target == RECORDED
    columns = (">trial", ">recorded" if recorded else ">time / baseline", "configuration")
    result = Table(*columns, title="best trials while it searched")
    best, *others = sorted(passed, key=lambda trial: (trial.objective, trial.number))[:BEST_SHOWN]
    result.add_row(str(best.id), _time(best, recorded), assignments(best.configuration))
    for trial in others:
        told = changes(trial.configuration, best.configuration, str(best.id))
        result.add_row(str(trial.id), _time(trial, recorded), told if brief else assignments(trial.configuration))
    return result


def _time(trial: StoredTrial, recorded: bool) -> str:
    objective = trial.objective or 0.0
    return microseconds(1000 * objective) if recorded else f"{objective:.3f}"


def _parameters(parameters: Sequence[ParameterInsight], target: Console) -> Table:
    """Return a column for each standing of a value, or where those do not fit a line for each."""
    title = "parameters, the largest effect first"
    wide = Table("parameter", ">effect", *STANDINGS.values(), title=title)
    narrow = Table("parameter", ">effect", "values", title=title)
    for one in parameters:
        values = {name: _values(one, standing) for standing, name in STANDINGS.items()}
        wide.add_row(one.parameter, _size(one), *values.values())
        lines = (f"{name}: {shown}" for name, shown in values.items() if shown)
        narrow.add_row(one.parameter, _size(one), "\n".join(lines))
    return wide if wide.fits(target) else narrow


def _pairs(pairs: Sequence[PairInsight]) -> RenderableType:
    shown = [pair for pair in pairs if pair.size > 0][:PAIRS_SHOWN]
    if not shown:
        return "pairs: none has done more than chance beyond what its parameters do alone\n"
    columns = ("pair", ">effect", ">tried", "best values")
    result = Table(*columns, title="pairs, their effect beyond that of each parameter alone")
    for pair in shown:
        tried = f"{pair.tried} of {pair.combinations}"
        result.add_row(f"{pair.first}, {pair.second}", _size(pair), tried, assignments(pair.best))
    return result


def _ignorance(insight: SearchInsight) -> Iterator[str]:
    """Yield the parameter and the pair that are least known, and how to read the figures."""
    unsure = max(insight.parameters, key=lambda one: one.uncertainty, default=None)
    if unsure is not None:
        yield f"least is known of {unsure.parameter} (± {unsure.uncertainty:.2f})" + _least_known_pair(insight.pairs)
    yield (
        "effects: standard deviations of the log time over all trials, ± the mean standard error of a value; percent: "
        "time against the parameter's average value, all else alike"
    )


def _least_known_pair(pairs: Sequence[PairInsight]) -> str:
    if not pairs:
        return ""
    unsure = max(pairs, key=lambda pair: pair.uncertainty)
    share = f"{unsure.tried} of {unsure.combinations} combinations tried"
    return f" and of the pair {unsure.first}, {unsure.second} (± {unsure.uncertainty:.2f}, {share})"


def _size(one: ParameterInsight | PairInsight) -> str:
    return f"{one.size:.2f} ± {one.uncertainty:.2f}"


def _values(one: ParameterInsight, standing: Standing) -> str:
    return ", ".join(_value(value) for value in one.values if value.standing == standing)


def _value(value: ValueInsight) -> str:
    name = parameter_value(value.value)
    if value.effect_percent is None or value.low_percent is None or value.high_percent is None:
        return f"{name} (failed)" if value.failed else name
    return f"{name} ({value.effect_percent:+.0f} ± {(value.high_percent - value.low_percent) / 2:.0f} %)"
