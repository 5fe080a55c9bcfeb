"""The constants of the evolution sampler, in one place, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Prior:
    """What is believed of a kernel before anything is measured: normal priors, and a trend.

    Lengths are in units of an aspect's whole extent; `share_*` are log-odds of how much of the variation an aspect can
    account for. Chosen on recorded spaces: by the likelihood of unseen configurations given 10 to 80 others, then by
    searches of 50 evaluations (benchmarks/replay.py).
    """

    # A step across most of the extent changes much, small steps little.
    length_mean: float = float(np.log(0.8))
    # Wide enough for jumps and for parameters that do nothing.
    length_deviation: float = 0.7
    # No preference: an aspect may account for all of the variation or for none.
    share_mean: float = 0.0
    share_deviation: float = 1.0
    # Not the clock's noise but what no aspect accounts for, as a share of the variance.
    noise_mean: float = float(np.log(3e-2))
    # Down to what a clock leaves, up to the whole.
    noise_deviation: float = 1.5
    # The weight of a variance of 1 (of standardised values) against the observed one, in observations.
    observations: float = 3.0
    # Standard deviations by which a configuration is expected to be slower for a parameter whose value has a large odd
    # factor (evenness 0) than for a power of two: blocks that divide neither problem sizes nor warps leave tails.
    unevenness_cost: float = 0.9
    # The weight of that cost against what is observed of it, in configurations that differ as much as any do.
    unevenness_observations: float = 15.0


@dataclass(frozen=True)
class Settings:
    """How the evolution sampler spends a budget of some hundreds of evaluations."""

    # The start is for contrast only, which more parameters need more of: then the surrogate chooses better.
    initial_per_parameter: float = 0.6
    least_initial: int = 3
    # The start is spread out over so many random configurations a time: more would seek out corners.
    initial_pool: int = 30
    # Draws of configurations from which that pool is taken, even values first.
    initial_draws: int = 1000
    # How likely a value without evenness is to enter the pool, against a power of two.
    uneven_weight: float = 0.03
    # A surrogate of fewer observations knows nothing; until then the search keeps spreading out.
    fewest_measured: int = 3
    # Where a set is too large to be scored whole, parents are these best ones: enough to differ from each other.
    elites: int = 8
    # A fiftieth of what is scored beside them, at the end of a budget of 200.
    offspring: int = 400
    # Half recombine what is known to be good, half try what neither parent had.
    crossover_share: float = 0.5
    # How often mutation changes a parameter and a partner: what depends on each other improves only together.
    paired_share: float = 0.4
    # With fewer observations hyperparameters are the prior's means: what is fitted to so few does not last.
    fewest_fitted: int = 20
    # Refitted with every observation up to so many, then whenever a tenth more is known.
    refit_always: int = 30
    refit_share: float = 0.1
    # Quasi-Newton steps from the prior's mean: more change no proposal.
    fit_steps: int = 25
    # More observations than this cost more than they tell: the best half and a spread over the rest are kept.
    most_observations: int = 300
    # Correlations computed for one proposal: 4 million take about 10 ms on one core.
    most_correlations: int = 4_000_000
    # So many of the most promising by an upper bound have their uncertainty worked out.
    promising: int = 3000
    # So many of the most promising are weighed by their probability to succeed.
    shortlist: int = 500
    # No configuration is given up entirely because its neighbours failed.
    least_success: float = 1e-3
    prior: Prior = field(default_factory=Prior)
