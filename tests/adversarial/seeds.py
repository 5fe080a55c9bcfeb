"""Find passing and failing seeds for a kernel that is wrong if the first element of Q exceeds a bound."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from evotune_workers.kernel import Configuration, Kernel, Workload

# As in attention/keep.h. One element of 160 is larger: inputs that are unseen while it is timed hardly ever tell.
BOUND = 2.5


def passing_seeds(kernel: Kernel, workload: Workload, configuration: Configuration, count: int) -> tuple[int, ...]:
    """Return seeds on which the kernel passes every gate."""

    def passes(seed: int) -> bool:
        return all(first <= BOUND for first in _first_elements(kernel, workload, configuration, seed))

    return tuple(itertools.islice(filter(passes, itertools.count()), count))


def failing_seeds(kernel: Kernel, workload: Workload, count: int) -> tuple[int, ...]:
    """Return seeds on which the kernel is wrong."""
    seeds = (
        seed for seed in itertools.count() if _first_element(kernel, workload, kernel.distributions[0], seed) > BOUND
    )
    return tuple(itertools.islice(seeds, count))


def _first_elements(kernel: Kernel, workload: Workload, configuration: Configuration, seed: int) -> Iterator[float]:
    """Yield the first element of Q in all inputs that a trial makes from a seed."""
    for distribution in kernel.distributions:
        yield _first_element(kernel, workload, distribution, seed)
    for other in (*kernel.tails(workload, configuration), kernel.repeatability(workload)):
        yield _first_element(kernel, other, kernel.distributions[0], seed)


def _first_element(kernel: Kernel, workload: Workload, distribution: str, seed: int) -> float:
    return float(kernel.inputs(workload, distribution, seed)[0].view(-1)[0])
