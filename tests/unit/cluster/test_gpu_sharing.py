"""GPUs are dealt out among searches."""

from __future__ import annotations

import pytest

from evotune_workers.cluster.gpu_sharing import SILENCE_SECONDS, TURN_SECONDS, GpuAllocation


def asked(allocation: GpuAllocation, now: float, gpus: int = 4, **wants: int) -> dict[str, int]:
    """Twice, so that the first have heard of the last; each holds what it was told."""
    for name, wanted in wants.items():
        allocation.ask(name, 0, wanted, gpus, now)
    return {name: allocation.ask(name, 0, wanted, gpus, now) for name, wanted in wants.items()}


def test_searches_that_want_more_than_there_are_share_those_that_exist() -> None:
    allocation, holds = GpuAllocation(), {"a": 0, "b": 0}
    for second in range(20):
        for name in holds:
            allowed = allocation.ask(name, holds[name], 8, 4, float(second))
            free = 4 - sum(held for other, held in holds.items() if other != name)
            holds[name] = min(allowed, free)
    assert holds == {"a": 2, "b": 2}
    assert allocation.ask("a", 2, 8, 4, 20.0) > 2, "and both then ask the cluster to grow"


def test_a_search_alone_gets_what_it_wants_also_what_the_cluster_has_yet_to_bring() -> None:
    assert asked(GpuAllocation(), 0.0, gpus=4, a=4) == {"a": 4}
    assert asked(GpuAllocation(), 0.0, gpus=0, a=8) == {"a": 8}


def test_searches_get_equal_shares_and_nobody_more_than_it_wants() -> None:
    assert asked(GpuAllocation(), 0.0, a=4, b=4) == {"a": 2, "b": 2}
    assert asked(GpuAllocation(), 0.0, a=1, b=4) == {"a": 1, "b": 3}


def test_ten_searches_on_four_gpus_have_had_the_same_in_the_end() -> None:
    allocation, names = GpuAllocation(), [f"search {place}" for place in range(10)]
    holds, had = dict.fromkeys(names, 0), dict.fromkeys(names, 0.0)
    for second in range(int(50 * TURN_SECONDS)):
        for name in names:
            holds[name] = allocation.ask(name, holds[name], 4, 4, float(second))
            had[name] += holds[name]
        assert sum(holds.values()) <= 4 + 4, "at a turn some have not heard yet"
    assert max(had.values()) <= 1.1 * min(had.values())


@pytest.mark.parametrize("ended", ["a", "b"])
def test_the_share_of_a_search_that_is_silent_goes_to_the_others(ended: str) -> None:
    allocation = GpuAllocation()
    asked(allocation, 0.0, a=4, b=4)
    [other] = {"a", "b"} - {ended}
    assert allocation.ask(other, 2, 4, 4, SILENCE_SECONDS / 2) == 2
    assert allocation.ask(other, 2, 4, 4, SILENCE_SECONDS + 1) == 4


def test_a_newcomer_is_not_given_everything_until_it_has_caught_up() -> None:
    allocation = GpuAllocation()
    for second in range(1000):
        allocation.ask("a", 4, 4, 4, float(second))
    assert asked(allocation, 1000.0, a=4, b=4, c=4, d=4, e=4) == {"a": 1, "b": 1, "c": 1, "d": 1, "e": 0}
