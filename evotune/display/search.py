"""A search and what it has learnt, as tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.table import Table

from evotune.display.tables import proof, table
from evotune.display.terminal import assignments, changes, microseconds, speedup
from evotune.planning.request import RECORDED
from evotune.planning.warm_start import in_words, recorded_starting_points

if TYPE_CHECKING:
    from evotune.display.insight import PairInsight, ParameterInsight, SearchInsight, Standing, ValueInsight
    from evotune_db.records import LeaderboardEntry, StoredSearch, StoredTrial

PAIRS_SHOWN = 8
BEST_SHOWN = 5


@dataclass(frozen=True)
class SearchDetails:
    """A stored search, the best of the leaderboard at each of its workloads, and what it has learnt.

    The field names are the keys of its JSON form.
    """

    search: StoredSearch
    winners: tuple[LeaderboardEntry, ...]
    insight: SearchInsight


def print_search(details: SearchDetails, target: Console) -> None:
    """Prints what the search was, its best trials, what each parameter and each pair did, and what is unknown."""
    for part in _parts(details, brief=target.is_terminal):
        target.print(part)


def _parts(details: SearchDetails, brief: bool) -> Iterator[RenderableType]:
    yield _facts(details)
    passed = [trial for trial in details.search.trials if trial.objective is not None and not trial.censored]
    if not passed:
        yield "no trial has passed yet, so that nothing is known of what parameters do"
        return
    yield _best(details.search, passed, brief)
    yield _parameters(details.insight.parameters)
    yield _pairs(details.insight.pairs)
    yield from _ignorance(details.insight)


def _facts(details: SearchDetails) -> Table:
    search, insight, record = details.search, details.insight, details.search.record
    facts = Table.grid(padding=(0, 2))
    facts.add_row("search", f"{search.id}, {search.state}")
    facts.add_row("kernel", f"{record.kernel.name} ({record.kernel.source_hash[:12]})")
    facts.add_row("workloads", ", ".join(record.workloads))
    facts.add_row("target", record.target + (", nothing was measured here" if record.target == RECORDED else ""))
    facts.add_row("space", f"{record.space.name}, {record.space.valid_configurations} valid configurations")
    facts.add_row("sampler", f"{record.sampler}, seed {record.seed}")
    if starting_points := recorded_starting_points(record):
        facts.add_row("warm start", in_words(starting_points))
    facts.add_row("trials", f"{insight.trials} of {record.budget} told, {insight.failed} of them failed")
    for number, winner in enumerate(details.winners):
        facts.add_row("" if number else "best", _winner(winner))
    return facts


def _winner(entry: LeaderboardEntry) -> str:
    """It need not be among the best trials of the search itself: finalists are timed again, beside each other."""
    ratio = speedup(entry.speedup, entry.speedup_low, entry.speedup_high)
    return f"trial {entry.trial} at {entry.workload}: {ratio} over {entry.baseline}, {proof(entry)}"


def _best(search: StoredSearch, passed: Sequence[StoredTrial], brief: bool) -> Table:
    """`brief`: of others than the best only what they have in its place, which a terminal has room for."""
    recorded = search.record.target == RECORDED
    columns = (">trial", ">recorded" if recorded else ">time / baseline", "configuration")
    result = table(*columns, title="best trials while it searched")
    best, *others = sorted(passed, key=lambda trial: (trial.objective, trial.number))[:BEST_SHOWN]
    result.add_row(str(best.id), _time(best, recorded), assignments(best.configuration))
    for trial in others:
        told = changes(trial.configuration, best.configuration, str(best.id))
        result.add_row(str(trial.id), _time(trial, recorded), told if brief else assignments(trial.configuration))
    return result


def _time(trial: StoredTrial, recorded: bool) -> str:
    objective = trial.objective or 0.0
    return microseconds(1000 * objective) if recorded else f"{objective:.3f}"


def _parameters(parameters: Sequence[ParameterInsight]) -> Table:
    columns = ("parameter", ">effect", "the best trial's", "slower, settled", "open", "never tried")
    result = table(*columns, title="parameters, those that matter most first")
    for one in parameters:
        cells = (_values(one, standing) for standing in ("best", "slower", "open", "untried"))
        result.add_row(one.parameter, _size(one), *cells)
    return result


def _pairs(pairs: Sequence[PairInsight]) -> RenderableType:
    shown = [pair for pair in pairs if pair.size > 0][:PAIRS_SHOWN]
    if not shown:
        return "pairs: none has done more than chance beyond what its parameters do alone\n"
    columns = ("pair", ">effect", ">tried", "does best beyond its parts")
    result = table(*columns, title="pairs, beyond what their parameters do alone")
    for pair in shown:
        tried = f"{pair.tried} of {pair.combinations}"
        result.add_row(f"{pair.first}, {pair.second}", _size(pair), tried, assignments(pair.best))
    return result


def _ignorance(insight: SearchInsight) -> Iterator[str]:
    """Where the search knows least, and how to read the figures."""
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
    name = assignments({"": value.value})[1:]
    if value.effect_percent is None or value.low_percent is None or value.high_percent is None:
        return f"{name} (failed)" if value.failed else name
    return f"{name} ({value.effect_percent:+.0f} ± {(value.high_percent - value.low_percent) / 2:.0f} %)"
