"""The effects of parameters, estimated from the stored trials of a search."""

from __future__ import annotations

import io
import itertools
from dataclasses import replace

from evotune.display.search import print_search
from evotune.display.terminal import console
from evotune.space import configuration_key
from evotune.trials.parameter_effects import SearchDetails, search_insight
from evotune_db.records import KernelRecord, SearchRecord, SpaceRecord, StoredSearch, StoredTrial

SPACE = """
kernel: saxpy
variant: cpu
parameters:
  tile: [16, 32, 64, 128]
  order: {values: [row, column], kind: categorical}
  unroll: [1, 2, 4]
  threads: [1]
"""
RECORD = SearchRecord(
    kernel=KernelRecord("saxpy", "a" * 64),
    space=SpaceRecord("cpu", "b" * 64, SPACE, 24),
    target="cpu",
    workloads=("small",),
    sampler="random",
    seed=0,
    budget=24,
    options={},
    versions={},
)


def trial(number: int, tile: int, order: str, unroll: int) -> StoredTrial:
    """Return a trial: a tile of 64 is best; columns are slow but beside an unroll of 4; a tile of 128 fails."""
    configuration: dict[str, bool | int | str] = {"tile": tile, "order": order, "unroll": unroll, "threads": 1}
    objective = (1 + abs(tile - 64) / 64) * (2.0 if order == "column" and unroll < 4 else 1.0)
    passed = tile < 128
    return StoredTrial(
        id=number + 1,
        number=number,
        configuration=configuration,
        configuration_key=configuration_key(configuration),
        state="passed" if passed else "failed",
        failed_gate=None if passed else "launch",
        reason=None,
        objective=objective if passed else None,
    )


def stored(*tiles: int) -> StoredSearch:
    grid = itertools.product(tiles, ("row", "column"), (1, 2, 4))
    trials = [trial(number, tile, order, unroll) for number, (tile, order, unroll) in enumerate(grid)]
    return StoredSearch(3, RECORD, "finished", tuple(trials))


def shown(search: StoredSearch) -> str:
    stream = io.StringIO()
    print_search(SearchDetails(search, (), search_insight(search)), console(stream))
    return stream.getvalue()


def test_it_tells_settled_values_from_open_and_untried_ones() -> None:
    insight = search_insight(stored(16, 32, 64))
    tile = {value.value: value for one in insight.parameters if one.parameter == "tile" for value in one.values}
    assert [tile[value].standing for value in (16, 64, 128)] == ["slower", "best", "untried"]
    assert tile[64].effect_percent is not None and tile[64].effect_percent < -15
    assert (tile[128].effect_percent, tile[128].passed) == (None, 0)
    assert "threads" not in {one.parameter for one in insight.parameters}


def test_a_value_of_one_of_the_best_trials_is_not_settled() -> None:
    insight = search_insight(stored(16, 32, 64))
    order = {value.value: value for one in insight.parameters if one.parameter == "order" for value in one.values}
    # Slow on average, and as fast as any with an unroll of 4.
    assert order["column"].effect_percent is not None and order["column"].effect_percent > 10
    assert order["column"].standing == "open"


def test_it_finds_the_pair_that_depends_on_each_other() -> None:
    first, second, _ = search_insight(stored(16, 32, 64)).pairs
    assert {first.first, first.second} == {"order", "unroll"}
    assert first.size > 0 == second.size
    assert first.best == {"order": "column", "unroll": 4}
    assert (first.tried, first.combinations) == (6, 6)


def test_failures_are_counted_and_are_no_times() -> None:
    insight = search_insight(stored(32, 64, 128))
    assert (insight.trials, insight.failed) == (18, 6)
    [tile] = [one for one in insight.parameters if one.parameter == "tile"]
    failed = {value.value: (value.passed, value.failed, value.standing) for value in tile.values}
    assert failed[128] == (0, 6, "open")
    assert "128 (failed)" in shown(stored(32, 64, 128))


def test_what_is_shown_is_what_was_learnt() -> None:
    text = shown(stored(16, 32, 64))
    for part in ("search     3, finished", "18 of 24 told, 0 of them failed", "time / baseline", "order, unroll"):
        assert part in text
    assert any("tile" in line and "64 (-" in line and "128" in line for line in text.splitlines())


def test_a_search_of_which_nothing_passed_says_so() -> None:
    assert "nothing is known of what parameters do" in shown(stored(128))
    assert "nothing is known of what parameters do" in shown(stored())


def test_trials_under_way_or_only_built_say_nothing() -> None:
    search = stored(32, 64)
    state = replace(search.trials[0], state="measuring", objective=None)
    assert search_insight(replace(search, trials=(state, *search.trials[1:]))).trials == 11
