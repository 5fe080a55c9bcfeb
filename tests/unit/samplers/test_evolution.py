"""The evolution sampler: what it finds, what it learns from failures and from what was stopped early, and its cost."""

from __future__ import annotations

import time

import numpy as np
import pytest

from evotune.samplers import SpaceSampler, make_sampler
from evotune.samplers.acquisition import expected_improvement
from evotune.samplers.evolution import EvolutionSampler
from evotune.samplers.history import FAILED, History, HistoryCache, Observation
from evotune.samplers.insight import Insight
from evotune.samplers.screen import largest
from evotune.samplers.settings import Settings
from evotune.space import ValidSet
from evotune.space.space_file import parse_space


def test_it_begins_with_the_default() -> None:
    text = "kernel: k\nvariant: cpu\nparameters: {a: [1, 2, 4], b: [x, y, z]}\ndefault: {a: 2, b: z}"
    valid = parse_space(text, "small.yaml").enumerate({})
    assert make_sampler("evolution", valid, 1).propose(History.of([], []), np.random.default_rng(0)) == valid.default


def grid(sizes: tuple[int, ...]) -> ValidSet:
    lines = [f"  p{j}: [{', '.join(map(str, range(size)))}]" for j, size in enumerate(sizes)]
    return parse_space("\n".join(["kernel: k", "variant: cpu", "parameters:", *lines]), "grid.yaml").enumerate({})


def bowl(valid: ValidSet) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return times over a grid: a narrow bowl with an interaction, and two parameters that matter little."""
    x = valid.codes.astype(np.float64)
    values: np.ndarray[tuple[int], np.dtype[np.float64]] = (
        1.0 + 0.4 * (x[:, 0] - 5) ** 2 + 0.3 * (x[:, 1] - x[:, 0]) ** 2 + 0.2 * abs(x[:, 2] - 3) + 0.01 * x[:, 3]
    )
    return values


def best_after(name: str, valid: ValidSet, times: np.ndarray[tuple[int], np.dtype[np.float64]], seed: int) -> float:
    sampler = make_sampler(name, valid, seed)
    told: list[Observation] = []
    for number in range(90):
        i = sampler.propose(History.of(told, []), np.random.default_rng([seed, number]))
        told.append(Observation(i, float(times[i]), censored=False))
    return min(outcome.value for outcome in told)


def test_it_finds_the_best_though_it_expects_uneven_values_to_be_slow() -> None:
    valid = grid((8, 8, 6, 4, 2))
    times = bowl(valid)
    found = {
        name: np.mean([best_after(name, valid, times, seed) for seed in range(2)]) for name in ("evolution", "random")
    }
    assert found["evolution"] < 1.03
    assert found["evolution"] < found["random"]


def test_it_finds_the_best_that_passes_beside_a_half_that_fails() -> None:
    valid = grid((8, 8, 6))
    sampler = make_sampler("evolution", valid, 1)
    told: list[Observation] = []
    for number in range(30):
        i = sampler.propose(History.of(told, []), np.random.default_rng([1, number]))
        x = valid.codes[i].astype(float)
        # It gets faster towards the half that fails.
        told.append(Observation(i, FAILED if x[0] >= 4 else 10.0 - x[0] + 0.1 * x[1], censored=False))
    assert min(outcome.value for outcome in told) == 7.0
    assert sum(outcome.value == FAILED for outcome in told) < 12


def test_a_configuration_stopped_early_is_no_faster_than_it_was_seen_to_be() -> None:
    valid = grid((8, 8, 6))
    times = bowl_of_two(valid)
    fast = int(np.argmin(times))
    seen = [i for i in range(0, len(valid), 9) if i != fast]
    exact = [Observation(i, float(times[i]), censored=False) for i in seen]
    near = [int(i) for i in valid.neighbours(fast) if i not in seen]
    bounds = [Observation(i, 30.0, censored=True) for i in near]
    sampler = make_sampler("evolution", valid, 1)
    rng = np.random.default_rng(0)
    hopeful = sampler.propose(History.of(exact, []), rng)
    warned = sampler.propose(History.of(exact + bounds, []), rng)
    assert times[hopeful] < 2.0
    assert warned != hopeful


def bowl_of_two(valid: ValidSet) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    x = valid.codes.astype(np.float64)
    values: np.ndarray[tuple[int], np.dtype[np.float64]] = 1.0 + 0.4 * (x[:, 0] - 4) ** 2 + 0.3 * (x[:, 1] - 4) ** 2
    return values


def test_it_scores_some_of_a_set_that_is_too_large_to_be_scored_whole() -> None:
    valid = grid((8, 8, 6, 4, 2))
    history = history_of(valid, 60)
    few = EvolutionSampler(valid, 1, Settings(most_correlations=6000))
    offspring = few.offspring(history, np.random.default_rng(0))
    assert 0 < len(offspring) < 600
    assert not set(offspring.tolist()) & set(history.excluded)
    proposed = few.propose(history, np.random.default_rng(0))
    assert bowl(valid)[proposed] < np.quantile(bowl(valid), 0.2)


def history_of(valid: ValidSet, count: int) -> History:
    rng = np.random.default_rng(0)
    chosen = rng.choice(len(valid), size=count, replace=False)
    times = bowl(valid)
    return History.of(
        [Observation(int(i), float(times[i]) if k % 10 else FAILED, False) for k, i in enumerate(chosen)], []
    )


def median_seconds(sampler: SpaceSampler, history: History) -> float:
    seconds = []
    for number in range(7):
        start = time.process_time()
        sampler.propose(history, np.random.default_rng([1, number]))
        seconds.append(time.process_time() - start)
    return float(np.median(seconds))


def test_a_proposal_at_20_000_configurations_is_cheap() -> None:
    valid = grid((8, 8, 6, 13, 4))
    assert len(valid) == 19968
    history = history_of(valid, 200)
    assert median_seconds(make_sampler("random", valid, 1), history) < 0.001
    # The bound is 50 ms, of this process alone; a slower machine is given twice that.
    assert median_seconds(make_sampler("evolution", valid, 1), history) < 0.1


@pytest.mark.parametrize("most", [1, 2, 3, 4, 7, 9, 20])
def test_the_largest_are_those_of_a_stable_order(most: int) -> None:
    values = np.array([3.0, 1.0, 3.0, 2.0, 0.0, 2.0, 3.0, 0.0, 0.0])
    assert largest(values, most).tolist() == sorted(np.argsort(-values, kind="stable")[:most].tolist())


def test_what_is_made_of_outcomes_is_made_once_for_a_batch() -> None:
    made: list[int] = []
    kept: HistoryCache[int] = HistoryCache()
    history = History.of([Observation(1, 2.0, False)], ())
    batch = (history, history.also_pending(5), history.also_pending(5).also_pending(3), history.with_pending([7]))

    def make() -> int:
        made.append(len(made))
        return made[-1]

    found = [
        kept.get(each, make)
        for each in (*batch, History.of([Observation(1, 2.0, False), Observation(5, 1.0, False)], ()))
    ]
    assert (made, found) == ([0, 1], [0, 0, 0, 0, 1])


def test_insight_tells_what_matters_from_what_does_not() -> None:
    valid = grid((8, 8, 6, 4, 2))
    insight = Insight.of(valid.parameters, valid.codes, history_of(valid, 150))
    assert insight.effects[0].size > 3 * insight.effects[4].size
    weights = insight.mutation_weights()
    assert weights.sum() == pytest.approx(1.0)
    assert weights[0] > weights[4]


def test_insight_tells_which_parameters_depend_on_each_other() -> None:
    valid = grid((8, 8, 6, 4, 2))
    insight = Insight.of(valid.parameters, valid.codes, history_of(valid, 400))
    assert max(insight.pairs, key=lambda pair: insight.pairs[pair].size) == (0, 1)
    weights = insight.partner_weights(0)
    assert weights.sum() == pytest.approx(1.0)
    assert weights.argmax() == 1
    assert weights[0] == 0.0


def test_insight_is_surer_of_what_was_tried_more_and_counts_failures() -> None:
    valid = grid((8, 8, 6, 4, 2))
    untold = Insight.of(valid.parameters, valid.codes, History.of([], []))
    assert untold.effects[0].size == 0.0
    assert untold.pairs[0, 1].uncertainty == 1.0
    few, many = (Insight.of(valid.parameters, valid.codes, history_of(valid, count)) for count in (20, 200))
    assert untold.effects[0].uncertainty > few.effects[0].uncertainty > many.effects[0].uncertainty
    assert untold.pairs[0, 1].uncertainty > few.pairs[0, 1].uncertainty > many.pairs[0, 1].uncertainty
    assert many.effects[2].failures.sum() == many.pairs[0, 2].failures.sum() == 20


def test_insight_tells_apart_what_was_mostly_tried_together() -> None:
    valid = grid((2, 2))
    # The first parameter is what costs; the second goes with it in all but two trials.
    pairs = [(0, 0)] * 10 + [(1, 1)] * 10 + [(0, 1), (1, 0)] * 4
    rows = {(0, 0): 1.0, (1, 1): 4.0, (0, 1): 1.0, (1, 0): 4.0}
    codes = np.array(pairs)
    told = [Observation(i, rows[pair], censored=False) for i, pair in enumerate(pairs)]
    first, second = Insight.of(valid.parameters, codes, History.of(told, [])).effects
    assert first.size > 5 * second.size


def test_expected_improvement_agrees_with_sampling() -> None:
    rng = np.random.default_rng(0)
    mean, deviation = np.array([0.0, 1.0, -1.0, 3.0]), np.array([1.0, 2.0, 0.5, 1.0])
    drawn = mean + deviation * rng.standard_normal((400_000, 4))
    expected = np.maximum(0.5 - drawn, 0.0).mean(axis=0)
    assert expected_improvement(0.5, mean, deviation) == pytest.approx(expected, abs=0.01)
