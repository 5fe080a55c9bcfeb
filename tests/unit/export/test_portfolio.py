"""The configurations of a portfolio, and the kernel that each call goes to."""

from __future__ import annotations

import itertools
import random

import pytest

from evotune.export import ExportError, choose_portfolio
from evotune_db.records import LeaderboardEntry
from kernels.attention_fwd.export import dispatch
from kernels.attention_fwd.export.dispatch import Bucket


def test_one_configuration_serves_all_workloads_where_it_is_within_the_loss() -> None:
    speedups = {"a": {1: 2.00, 2: 1.95}, "b": {1: 1.50, 2: 1.55}, "c": {3: 1.20, 2: 1.18}}
    assert chosen(speedups, 0.04) == {"a": 2, "b": 2, "c": 2}
    assert chosen(speedups, 0.02) == {"a": 1, "b": 2, "c": 2}
    assert chosen(speedups, 0.0) == {"a": 1, "b": 2, "c": 3}


def test_of_equally_small_portfolios_the_one_that_loses_least_is_taken() -> None:
    speedups = {"a": {1: 1.00, 2: 1.02, 3: 1.01}, "b": {1: 1.02, 2: 1.00, 3: 1.015}}
    assert chosen(speedups, 0.03) == {"a": 3, "b": 3}


def test_a_configuration_does_not_serve_a_workload_that_it_was_not_measured_at() -> None:
    assert chosen({"a": {1: 2.0}, "b": {2: 2.0}}, 0.5) == {"a": 1, "b": 2}


def test_a_confirmed_entry_counts_even_where_the_same_configuration_was_faster_unconfirmed() -> None:
    confirmed, slower = entry("a", 2, 2.0, 1), entry("a", 1, 1.9, 2)
    ranked = [confirmed, slower, entry("a", 1, 2.1, 3), entry("b", 1, 1.5, 1)]
    choices = choose_portfolio(ranked, 0.03)
    assert [each.entry for each in choices] == [confirmed, ranked[3]]
    assert choose_portfolio(ranked, 0.06)[0].entry is slower


def test_sdpa_serves_where_no_configuration_beats_it_and_takes_no_place() -> None:
    choices = choose_portfolio(entries({"a": {1: 2.0}, "b": {2: 0.9, 1: 0.8}}), 0.03)
    assert [(each.entry.workload, each.by_sdpa) for each in choices] == [("a", False), ("b", True)]
    assert choices[0].entry.trial == 1


def test_no_smaller_portfolio_exists_than_the_one_that_is_found() -> None:
    generator = random.Random(4)
    for _ in range(30):
        speedups = {w: {c: 1 + generator.random() / 8 for c in range(7)} for w in "abcdef"}
        found = set(chosen(speedups, 0.03).values())
        assert len(found) == smallest(speedups, 0.03)


@pytest.mark.parametrize("name", ["kernel", "target", "device"])
def test_a_portfolio_of_two_kernels_targets_or_devices_is_refused(name: str) -> None:
    mixed = [entry("a", 1, 2.0, 1), entry("b", 1, 2.0, 1, **{name: "other"})]
    with pytest.raises(ExportError, match=rf"must have one {name}, got .*other.*; choose one with --{name}$"):
        choose_portfolio(mixed, 0.03)


def test_an_unknown_shape_goes_to_the_nearest_bucket_of_its_dtype_and_head_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small, large = bucket("small", "k1", 512), bucket("large", "k2", 4096)
    wide, slow = bucket("wide", "k3", 512, head_dim=128), bucket("slow", None, 32768)
    monkeypatch.setattr(dispatch, "BUCKETS", (small, large, wide, slow))
    assert dispatch.choose("float16", 64, 8, 700, 700, False) is small
    assert dispatch.choose("float16", 64, 8, 3000, 3000, False) is large
    assert dispatch.choose("float16", 128, 8, 30000, 30000, False) is wide
    assert dispatch.choose("float16", 64, 8, 30000, 30000, False).kernel is None


def test_a_causal_shape_prefers_a_causal_bucket_that_is_no_more_than_a_doubling_further(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, causal = bucket("plain", "k1", 512), bucket("causal", "k2", 700, causal=True)
    monkeypatch.setattr(dispatch, "BUCKETS", (plain, causal))
    assert dispatch.choose("float16", 64, 8, 512, 512, True) is causal
    assert dispatch.choose("float16", 64, 8, 512, 512, False) is plain
    assert dispatch.choose("float16", 64, 8, 64, 64, True) is causal


def test_between_two_buckets_the_kernel_that_serves_most_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    buckets = bucket("low", "k1", 256), bucket("high", "k2", 1024), bucket("higher", "k2", 8192)
    monkeypatch.setattr(dispatch, "BUCKETS", buckets)
    assert dispatch.choose("float16", 64, 8, 512, 512, False) is buckets[1]


def test_a_dtype_or_head_size_without_a_kernel_is_refused_with_those_that_have_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dispatch, "BUCKETS", (bucket("a", "k1", 512), bucket("b", "k2", 512, dtype="bfloat16")))
    rule = (
        r"^there are kernels for bfloat16 with head size 64, float16 with head size 64, got float16 with head size 128$"
    )
    with pytest.raises(ValueError, match=rule):
        dispatch.choose("float16", 128, 8, 512, 512, False)


def chosen(speedups: dict[str, dict[int, float]], within: float) -> dict[str, object]:
    """Return the configuration that serves each workload."""
    choices = choose_portfolio(entries(speedups), within)
    return {each.entry.workload: each.entry.configuration["tile_m"] for each in choices}


def entries(speedups: dict[str, dict[int, float]]) -> list[LeaderboardEntry]:
    made = []
    for workload, by_configuration in speedups.items():
        ranked = sorted(by_configuration.items(), key=lambda each: -each[1])
        made += [entry(workload, number, speedup, rank) for rank, (number, speedup) in enumerate(ranked, 1)]
    return made


def entry(workload: str, configuration: int, speedup: float, rank: int, **other: str) -> LeaderboardEntry:
    return LeaderboardEntry(
        rank=rank,
        trial=configuration,
        kernel=other.get("kernel", "attention_fwd"),
        target=other.get("target", "sm_90"),
        device=other.get("device", "a GPU"),
        workload=workload,
        configuration={"tile_m": configuration},
        median_us=10 / speedup,
        speedup=speedup,
        speedup_low=speedup,
        speedup_high=speedup,
        baseline="sdpa_flash",
        baseline_us=10.0,
        confirmed=False,
        certified=False,
    )


def smallest(speedups: dict[str, dict[int, float]], within: float) -> int:
    """By trying every set."""
    covered = [{w for w, by in speedups.items() if max(by.values()) / by[c] - 1 <= within} for c in speedups["a"]]
    sizes = range(1, len(covered) + 1)
    return next(
        size for size in sizes for each in itertools.combinations(covered, size) if set().union(*each) == {*speedups}
    )


def bucket(
    name: str, kernel: str | None, length: int, head_dim: int = 64, dtype: str = "float16", causal: bool = False
) -> Bucket:
    return Bucket(name, kernel, 1.5 if kernel else 0.8, dtype, 1, 8, length, length, head_dim, causal)
