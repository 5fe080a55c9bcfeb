"""Compute a candidate's speed-up over every baseline that was timed in the same session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def over_baselines(samples: Mapping[str, Sequence[Sequence[float]]]) -> dict[str, float]:
    """Return the median ratio to each baseline over the blocks in which both sides were timed.

    A baseline without such a block is left out, for example because it was far too slow.
    """
    times = {side: np.asarray(pairs).sum(axis=1) for side, pairs in samples.items() if pairs}
    ours = next(times.pop(side) for side in list(times) if side.startswith("candidate"))
    return {side: float(np.median(theirs / ours[: len(theirs)])) for side, theirs in times.items()}
