"""Trials that a warm start saves: two searches on one scale, near the better one's best."""

from __future__ import annotations

from benchmarks.warm_start import Searched, total, trials_until

# The cold search's best takes 4 % longer than the warm one's, side by side; its baseline was slower by chance.
COLD = Searched((0.9, None, 0.52, 0.5, 0.6), best=0.5, over_best=1.04)
WARM = Searched((0.64, 0.61, None, 0.6, 0.7), best=0.6, over_best=1.0)


def test_a_search_is_near_by_the_side_by_side_timing_and_not_by_its_own_figures() -> None:
    assert (COLD.trials_until(0.05), WARM.trials_until(0.05)) == (4, 2)
    assert (COLD.trials_until(0.02), WARM.trials_until(0.02)) == (None, 2)


def test_a_search_that_never_came_near_took_its_whole_budget() -> None:
    assert trials_until(COLD, WARM)["2%"] == {"cold": None, "warm": 2, "budget": 5, "saved": 3}
    assert trials_until(WARM, COLD)["2%"]["saved"] == -3


def test_the_total_counts_the_shapes_with_a_result() -> None:
    shapes: list[dict[str, object]] = [{"trials_until": trials_until(COLD, WARM)}, {"no_result": "busy"}]
    assert total(shapes, 0.02) == (3, 5, 1)
