"""Seeds for a kernel that is wrong where Q begins with more than 1: those that it passes, and those that tell."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from evotune_workers.kernel import Configuration, Kernel, Workload


def unsuspicious_seeds(kernel: Kernel, workload: Workload, configuration: Configuration, count: int) -> tuple[int, ...]:
    """Seeds on which it passes every gate."""

    def passes(seed: int) -> bool:
        return all(first <= 1 for first in _firsts(kernel, workload, configuration, seed))

    return tuple(itertools.islice(filter(passes, itertools.count()), count))


def telling_seeds(kernel: Kernel, workload: Workload, count: int) -> tuple[int, ...]:
    """Seeds on which it is wrong."""
    seeds = (seed for seed in itertools.count() if _first(kernel, workload, kernel.distributions[0], seed) > 1)
    return tuple(itertools.islice(seeds, count))


def _firsts(kernel: Kernel, workload: Workload, configuration: Configuration, seed: int) -> Iterator[float]:
    """Return the first value of Q in each input that a trial makes of a seed."""
    for distribution in kernel.distributions:
        yield _first(kernel, workload, distribution, seed)
    for other in (*kernel.tails(workload, configuration), kernel.repeatability(workload)):
        yield _first(kernel, other, kernel.distributions[0], seed)


def _first(kernel: Kernel, workload: Workload, distribution: str, seed: int) -> float:
    return float(kernel.inputs(workload, distribution, seed)[0].view(-1)[0])
