"""The timing protocol: how long to measure, which blocks count, and when a candidate is clearly slower.

It runs in the measuring actor. The unit of measurement is a block. In it every side (a candidate or a baseline) is
timed in order and then in reverse (ABBA), so that drift cancels. The statistic is the median over blocks of baseline /
candidate, with a bootstrap interval.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evotune_workers.timing.statistics import Interval, median_interval
from evotune_workers.timing.stopwatch import POWER_CAP, Block

HALF_WIDTH = 0.005
MOST_BLOCKS = 60
LEAST_BLOCKS = 10
# Limit for a trial of the search, whose interval only has to select finalists. On a busy machine, where no interval
# gets narrow, 60 blocks would double the time of a search. Finalists get MOST_BLOCKS.
SEARCH_BLOCKS = 30
# Blocks between two looks at the interval. The first look selects the fastest baseline and stops slow candidates.
BLOCKS_PER_LOOK = 5
LOOKS = (MOST_BLOCKS - LEAST_BLOCKS) // BLOCKS_PER_LOOK + 1
WARM_BLOCKS = 10
# A block whose threads waited for a core for more than this share of its time is dropped. The daemons of an otherwise
# idle Ray node cost 0.03 to 0.15, depending on the host; one busy thread beside the measurement costs 0.3 and more.
DISTURBED_SHARE = 0.20
# Blocks whose clock differs by more than this from the median of the latest blocks are dropped. Only the latest count,
# since a device that reaches its power limit has another clock from then on.
CLOCK_MARGIN = 0.04
MOST_DROPPED_SHARE = 0.20
# A candidate is clearly slower if even the fast end of its interval is this much below the incumbent's slow end.
CENSOR_MARGIN = 0.03
# Baselines slower than the fastest by more than this after the first look are timed no further.
OPPONENT_MARGIN = 1.10
# Baselines slower than the fastest by more than this, by a first estimate (the fastest of a few calls), are not timed
# in a trial. Finalists are timed against all.
HOPELESS_MARGIN = 1.50
# A candidate that takes this many times as long on unseen inputs keeps results: more blocks would only tell the same.
KEEPS_RESULTS = 3.0


@dataclass(frozen=True)
class Samples:
    """The blocks measured so far; all statistics but `unseen_ratio` use only the blocks that count."""

    blocks: tuple[Block, ...] = ()

    @functools.cached_property
    def kept(self) -> tuple[Block, ...]:
        """The blocks that count: undisturbed by others, and with a clock close to that of the latest blocks."""
        clocks = [block.conditions.clock_mhz for block in self.blocks if block.conditions.clock_mhz is not None]
        usual = float(np.median(clocks[-LEAST_BLOCKS:])) if clocks else None
        return tuple(block for block in self.blocks if _is_undisturbed(block) and _at_clock(block, usual))

    @property
    def dropped(self) -> int:
        """Number of blocks that others disturbed, and of those with another clock from the first block that counts.

        Before that block, a device at its power limit still settles its clock. If the limit was reached at all, the
        work itself changes the clock. Blocks with another clock do not count then, but nothing disturbed them.
        """
        disturbed = sum(not _is_undisturbed(block) for block in self.blocks)
        since = self.blocks[self.blocks.index(self.kept[0]) :] if self.kept else self.blocks
        if any(POWER_CAP in block.conditions.throttled for block in since):
            return disturbed
        return disturbed + sum(_is_undisturbed(block) for block in since) - len(self.kept)

    @property
    def why_dropped(self) -> str:
        """The reason why blocks were dropped: other work on the cores, or another clock, with NVML's reasons."""
        clocks = [block.conditions.clock_mhz for block in self.blocks if block.conditions.clock_mhz is not None]
        if not clocks:
            return "met other work on the machine"
        reasons = sorted({reason for block in self.blocks for reason in block.conditions.throttled})
        listed = f" ({', '.join(reasons)})" if reasons else ""
        return f"had another clock, between {min(clocks):.0f} and {max(clocks):.0f} MHz{listed}"

    @property
    def wrong(self) -> frozenset[str]:
        """Sides with a timed output that differed from the one checked before."""
        return frozenset().union(*(block.wrong for block in self.blocks))

    def times(self, side: str) -> list[tuple[float, float]]:
        """Return the pairs of times of a side (microseconds), from the blocks that count and timed it."""
        return [block.times_us[side] for block in self.kept if side in block.times_us]

    def median_us(self, side: str) -> float:
        """Return the median time of a call in microseconds."""
        return float(np.median(np.asarray(self.times(side))))

    def speedup(self, candidate: str, baseline: str) -> Interval:
        """Return the median of per-block ratios baseline / candidate; the interval holds at any of the looks."""
        pairs = [
            sum(block.times_us[baseline]) / sum(block.times_us[candidate])
            for block in self.kept
            if baseline in block.times_us and candidate in block.times_us
        ]
        return median_interval(pairs, LOOKS)

    def unseen_ratio(self, candidate: str) -> float:
        """Return the shortest time on unseen inputs over the median time on others; 1 while there are few blocks.

        All blocks count here. The shortest of ten times is hardly ever disturbed, and disturbances only raise the
        median, so that noise makes the ratio smaller.
        """
        blocks = [block for block in self.blocks if candidate in block.times_us]
        if len(blocks) < LEAST_BLOCKS:
            return 1.0
        unseen = [block.times_us[candidate][block.unseen] for block in blocks]
        others = [block.times_us[candidate][1 - block.unseen] for block in blocks]
        return float(min(unseen) / np.median(others))

    def joined(self, blocks: Sequence[Block]) -> Samples:
        """Return these samples and more blocks."""
        return Samples((*self.blocks, *blocks))

    @property
    def too_disturbed(self) -> bool:
        """True if so many blocks were dropped that there is no result."""
        return self.dropped > MOST_DROPPED_SHARE * len(self.blocks)


def _is_undisturbed(block: Block) -> bool:
    return block.conditions.disturbed <= DISTURBED_SHARE


def _at_clock(block: Block, usual: float | None) -> bool:
    clock = block.conditions.clock_mhz
    return clock is None or usual is None or abs(clock - usual) <= CLOCK_MARGIN * usual


NO_SAMPLES = Samples()


def measure_interleaved(
    candidates: Sequence[str],
    baselines: Sequence[str],
    run_blocks: Callable[[int, tuple[str, ...]], Sequence[Block]],
    incumbent_low: float | None,
    most_blocks: int = MOST_BLOCKS,
) -> tuple[Samples, bool]:
    """Measure blocks until every candidate's interval is narrow, or until `most_blocks`.

    Returns the samples, and True if they are censored. They are when measuring stopped early, because the interval of
    every candidate is below `incumbent_low` by CENSOR_MARGIN. That is the low end of the best speed-up so far.
    Measuring also stops at a candidate that is to be refused: a timed output was wrong, or it keeps results.
    """
    sides = (*candidates, *baselines)
    samples = NO_SAMPLES
    while len(samples.blocks) < most_blocks and samples.dropped <= MOST_DROPPED_SHARE * most_blocks:
        samples = samples.joined(run_blocks(BLOCKS_PER_LOOK, sides))
        if samples.wrong or any(samples.unseen_ratio(candidate) > KEEPS_RESULTS for candidate in candidates):
            break
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
    """Return True if a speed-up's high end is below the incumbent's low end by CENSOR_MARGIN."""
    return incumbent_low is not None and speedup_high < incumbent_low * (1 - CENSOR_MARGIN)


def plausible_opponents(baselines: Sequence[str], estimates_us: Mapping[str, float]) -> tuple[str, ...]:
    """Return the baselines that may be the fastest by first estimates; all of them where there are no estimates."""
    if not estimates_us:
        return tuple(baselines)
    bound = HOPELESS_MARGIN * min(estimates_us.values())
    return tuple(baseline for baseline in baselines if estimates_us[baseline] <= bound)


def fastest(samples: Samples, baselines: Sequence[str]) -> str:
    """Return the baseline with the smallest median, of those timed in blocks that count."""
    return min((baseline for baseline in baselines if samples.times(baseline)), key=samples.median_us)


def _contenders(samples: Samples, baselines: Sequence[str]) -> list[str]:
    """Return the baselines that may still prove to be the fastest."""
    bound = OPPONENT_MARGIN * samples.median_us(fastest(samples, baselines))
    return [baseline for baseline in baselines if samples.times(baseline) and samples.median_us(baseline) <= bound]
