"""The timing protocol: the actor's half, which decides how long to measure and what the samples say.

Unit of evidence: a block, in which every side is timed in order and then in reverse (ABBA), so that drift cancels. The
statistic is the median over blocks of baseline / candidate, with a bootstrap interval.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from evotune_workers.timing.statistics import Interval, median_interval
from evotune_workers.timing.stopwatch import POWER_CAP, Block

HALF_WIDTH = 0.005
MOST_BLOCKS = 60
LEAST_BLOCKS = 10
# Of a trial in the search, whose interval only has to tell who becomes a finalist: on a busy machine, where no interval
# gets narrow, 60 would double the time that a search takes. Finalists are timed to the end.
SEARCH_BLOCKS = 30
# Blocks between two looks at the interval; the first look picks the opponent and stops hopeless candidates.
BLOCKS_PER_LOOK = 5
LOOKS = (MOST_BLOCKS - LEAST_BLOCKS) // BLOCKS_PER_LOOK + 1
WARM_BLOCKS = 10
# A block whose threads waited for a core for more than this share of its time is dropped. The daemons of an otherwise
# idle Ray node cost 0.03 to 0.15, by how busy the host is; one busy thread beside the measurement costs 0.3 and more.
DISTURBED_SHARE = 0.20
# Blocks whose clock is further than this off the median are dropped. The median of the latest blocks,
# since a device that reaches its power limit has another clock from then on.
CLOCK_MARGIN = 0.04
MOST_DROPPED_SHARE = 0.20
# "Well above the incumbent": even the fast end of the interval is this much slower than the incumbent's slow end.
CENSOR_MARGIN = 0.03
# Baselines slower than the fastest by more than this after the first look are timed no further.
OPPONENT_MARGIN = 1.10
# Baselines slower than this by a first estimate (the fastest of a few calls) cannot be a trial's opponent; finalists
# meet them all the same.
HOPELESS_MARGIN = 1.50


@dataclass(frozen=True)
class Timing:
    """A candidate beside the fastest baseline. Times in microseconds; speed-up = baseline / candidate.

    `build_key` names the candidate's build.
    """

    workload: str
    mode: Literal["cold", "warm"]
    build_key: str
    baseline: str
    median_us: float
    p50_us: float
    p90_us: float
    p99_us: float
    baseline_us: float
    speedup: float
    speedup_low: float
    speedup_high: float
    blocks: int
    dropped_blocks: int
    censored: bool
    samples: Mapping[str, Sequence[tuple[float, float]]]
    conditions: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Samples:
    """The blocks so far; figures come from those that count."""

    blocks: tuple[Block, ...] = ()

    @functools.cached_property
    def kept(self) -> tuple[Block, ...]:
        """Blocks of a device left alone: no threads waiting for cores, a clock close to that of the latest blocks."""
        clocks = [block.conditions.clock_mhz for block in self.blocks if block.conditions.clock_mhz is not None]
        usual = float(np.median(clocks[-LEAST_BLOCKS:])) if clocks else None
        return tuple(block for block in self.blocks if _left_alone(block) and _at_clock(block, usual))

    @property
    def dropped(self) -> int:
        """Blocks that do not count because of others, from the first that does count.

        Before it a device at its power limit finds its clock. Wherever the limit was met, clocks are the work's own
        doing: such blocks do not count either, but no one disturbed them.
        """
        since = self.blocks[self.blocks.index(self.kept[0]) :] if self.kept else self.blocks
        if any(POWER_CAP in block.conditions.throttled for block in since):
            return sum(not _left_alone(block) for block in since)
        return len(since) - len(self.kept)

    @property
    def why_dropped(self) -> str:
        """What happened to blocks: others took cores, or the clock moved, and what the device says of that."""
        clocks = [block.conditions.clock_mhz for block in self.blocks if block.conditions.clock_mhz is not None]
        if not clocks:
            return "met other work on the machine"
        reasons = sorted({reason for block in self.blocks for reason in block.conditions.throttled})
        told = f" ({', '.join(reasons)})" if reasons else ""
        return f"had another clock, between {min(clocks):.0f} and {max(clocks):.0f} MHz{told}"

    @property
    def wrong(self) -> frozenset[str]:
        """Sides with a timed output of other bits than before."""
        return frozenset().union(*(block.wrong for block in self.blocks))

    def times(self, side: str) -> list[tuple[float, float]]:
        """The pairs of that side, of the blocks in which it was timed."""
        return [block.times_us[side] for block in self.kept if side in block.times_us]

    def median_us(self, side: str) -> float:
        """Median time of a call."""
        return float(np.median(np.asarray(self.times(side))))

    def speedup(self, candidate: str, baseline: str) -> Interval:
        """Median of per-block ratios baseline / candidate, with its interval (valid at whichever look it is taken)."""
        pairs = [
            sum(block.times_us[baseline]) / sum(block.times_us[candidate])
            for block in self.kept
            if baseline in block.times_us and candidate in block.times_us
        ]
        return median_interval(pairs, LOOKS)

    def unseen_ratio(self, candidate: str) -> float:
        """The shortest time on inputs not met before over the median on others; 1 while there are few blocks.

        Of all blocks, since the shortest of ten times is hardly ever a disturbed one, and medians only grow with
        disturbances: noise makes the ratio smaller.
        """
        blocks = [block for block in self.blocks if candidate in block.times_us]
        if len(blocks) < LEAST_BLOCKS:
            return 1.0
        unseen = [block.times_us[candidate][block.unseen] for block in blocks]
        others = [block.times_us[candidate][1 - block.unseen] for block in blocks]
        return float(min(unseen) / np.median(others))

    def joined(self, blocks: Sequence[Block]) -> Samples:
        """With more blocks."""
        return Samples((*self.blocks, *blocks))

    @property
    def too_disturbed(self) -> bool:
        """Whether so many blocks were dropped that there is no result."""
        return self.dropped > MOST_DROPPED_SHARE * len(self.blocks)


def _left_alone(block: Block) -> bool:
    return block.conditions.disturbed <= DISTURBED_SHARE


def _at_clock(block: Block, usual: float | None) -> bool:
    clock = block.conditions.clock_mhz
    return clock is None or usual is None or abs(clock - usual) <= CLOCK_MARGIN * usual


NO_SAMPLES = Samples()


def race(
    candidates: Sequence[str],
    baselines: Sequence[str],
    run_blocks: Callable[[int, tuple[str, ...]], Sequence[Block]],
    incumbent_low: float | None,
    most_blocks: int = MOST_BLOCKS,
) -> tuple[Samples, bool]:
    """Measures until every candidate's interval is narrow, or so many blocks.

    Returns the samples, and whether they were censored: stopped early, because the whole interval of every candidate is
    below `incumbent_low` (the low end of the best speed-up so far) by a margin.
    """
    sides = (*candidates, *baselines)
    samples = NO_SAMPLES
    while len(samples.blocks) < most_blocks and samples.dropped <= MOST_DROPPED_SHARE * most_blocks:
        samples = samples.joined(run_blocks(BLOCKS_PER_LOOK, sides))
        if len(samples.kept) < BLOCKS_PER_LOOK:
            continue
        opponent = fastest(samples, baselines)
        sides = (*candidates, *_contenders(samples, baselines))
        intervals = [samples.speedup(candidate, opponent) for candidate in candidates]
        if all(clearly_slower(interval.high, incumbent_low) for interval in intervals):
            return samples, True
        if len(samples.kept) >= LEAST_BLOCKS and all(i.half_width <= HALF_WIDTH for i in intervals):
            break
    return samples, False


def clearly_slower(speedup_high: float, incumbent_low: float | None) -> bool:
    """Whether a speed-up is so far below the best one's low end, if there is one, that it need not be known better."""
    return incumbent_low is not None and speedup_high < incumbent_low * (1 - CENSOR_MARGIN)


def plausible_opponents(baselines: Sequence[str], estimates_us: Mapping[str, float]) -> tuple[str, ...]:
    """The baselines worth timing; all of them where there is no estimate."""
    if not estimates_us:
        return tuple(baselines)
    bound = HOPELESS_MARGIN * min(estimates_us.values())
    return tuple(baseline for baseline in baselines if estimates_us[baseline] <= bound)


def fastest(samples: Samples, baselines: Sequence[str]) -> str:
    """The opponent: the baseline with the smallest median, of those timed in blocks that count."""
    return min((baseline for baseline in baselines if samples.times(baseline)), key=samples.median_us)


def _contenders(samples: Samples, baselines: Sequence[str]) -> list[str]:
    """The baselines that may still turn out to be the fastest."""
    bound = OPPONENT_MARGIN * samples.median_us(fastest(samples, baselines))
    return [baseline for baseline in baselines if samples.times(baseline) and samples.median_us(baseline) <= bound]


def summarise(
    samples: Samples,
    candidate: str,
    build_key: str,
    baselines: Sequence[str],
    workload: str,
    mode: Literal["cold", "warm"],
    censored: bool,
    conditions: Mapping[str, Any],
) -> Timing:
    """One candidate's timing against the fastest of the baselines."""
    opponent = fastest(samples, baselines)
    speedup = samples.speedup(candidate, opponent)
    p50, p90, p99 = np.percentile(np.asarray(samples.times(candidate)), [50, 90, 99])
    timed = {name: samples.median_us(name) for name in baselines if samples.times(name)}
    others = {**conditions.get("estimates_us", {}), **timed}
    return Timing(
        workload=workload,
        mode=mode,
        build_key=build_key,
        baseline=opponent,
        median_us=samples.median_us(candidate),
        p50_us=float(p50),
        p90_us=float(p90),
        p99_us=float(p99),
        baseline_us=samples.median_us(opponent),
        speedup=speedup.median,
        speedup_low=speedup.low,
        speedup_high=speedup.high,
        blocks=len(samples.kept),
        dropped_blocks=samples.dropped,
        censored=censored,
        samples={side: samples.times(side) for side in (candidate, *baselines)},
        conditions={**conditions, "baselines_us": others, **_device_conditions(samples)},
    )


def most_cautious(runs: Sequence[Mapping[str, tuple[Timing, ...]]]) -> Mapping[str, tuple[Timing, ...]]:
    """The run in which the opponent was fastest: what slows a machine for a while slows the baseline most."""
    return min(runs, key=lambda run: min(timings[0].baseline_us for timings in run.values()))


def _device_conditions(samples: Samples) -> dict[str, Any]:
    """What the device was like while the blocks that count were measured."""
    conditions = [block.conditions for block in samples.kept]
    found: dict[str, Any] = {"disturbed": max(each.disturbed for each in conditions)}
    for name in ("clock_mhz", "power_w"):
        values = [value for each in conditions if (value := getattr(each, name)) is not None]
        if values:
            found[name] = values
    throttled = sorted({reason for each in conditions for reason in each.throttled})
    return {**found, "throttled": throttled} if throttled else found


def cpu_environment(cores: int) -> dict[str, str]:
    """The child's environment: as many threads as cores (Ray would set one), not pinned.

    Beside Ray's daemons a pinned thread waits where a free one moves: with OMP_PROC_BIND the SDPA baseline, which meets
    many barriers, took 4.5 to 5.0 ms at 1x8x512x64 instead of 3.8, and the candidate, which meets few, hardly more.
    """
    return {"OMP_NUM_THREADS": str(cores), "MKL_NUM_THREADS": str(cores)}


def as_conditions(facts: Any, **more: Any) -> dict[str, Any]:
    """Stopwatch facts as JSON-like conditions of a timing."""
    known = {key: value for key, value in dataclasses.asdict(facts).items() if key != "errors"}
    return {**known, **more}
