"""All constants of the evolution sampler, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Prior:
    """The prior of the Gaussian process: normal distributions of its hyperparameters, and a trend.

    Lengths are in units of an aspect's whole range. `share_*` are log-odds of the share of the variation that an aspect
    can explain. The values were chosen on recorded spaces: first by the likelihood of unseen configurations given 10 to
    80 others, then by searches of 50 evaluations (benchmarks/replay.py).
    """

    # A step across most of the range changes much, a small step changes little.
    length_mean: float = float(np.log(0.8))
    # Wide enough for jumps, and for parameters without an effect.
    length_deviation: float = 0.7
    # No preference: an aspect may explain all of the variation or none.
    share_mean: float = 0.0
    share_deviation: float = 1.0
    # The share of the variance that no aspect explains; it is not the noise of the timing.
    noise_mean: float = float(np.log(3e-2))
    # Wide enough to reach from the noise of a timing up to all of the variance.
    noise_deviation: float = 1.5
    # Weight, in observations, of the prior variance (1, for standardised values) against the observed one.
    observations: float = 3.0
    # A value with a large odd factor is expected to be slower than a power of two by this many standard deviations:
    # blocks that divide neither problem sizes nor warps leave tails.
    unevenness_cost: float = 0.9
    # Weight of that expected cost against the observed one, in configurations that differ as much as possible.
    unevenness_observations: float = 15.0


@dataclass(frozen=True)
class Settings:
    """Settings of the evolution sampler for a budget of some hundred evaluations."""

    # Size of the initial design. It only has to show contrasts, and more parameters need more of them.
    initial_per_parameter: float = 0.6
    least_initial: int = 3
    # Random configurations among which a point of the initial design is chosen. More would favour corners.
    initial_pool: int = 30
    # Random draws from which that pool is taken, with a preference for powers of two.
    initial_draws: int = 1000
    # Probability that a value which is not a power of two enters the pool, relative to a power of two.
    uneven_weight: float = 0.03
    # A surrogate of fewer observations predicts nothing. Until then, the initial design goes on.
    fewest_measured: int = 3
    # Parents of the offspring, where a set is too large to score all of it: enough to be diverse.
    elites: int = 8
    # 2 % of the random configurations scored beside them, at the end of a budget of 200.
    offspring: int = 400
    # Half of the offspring recombine good parents, half try values that neither parent had.
    crossover_share: float = 0.5
    # Share of mutations that change two parameters: dependent parameters only improve together.
    paired_share: float = 0.4
    # With fewer observations, use the prior means: hyperparameters fitted to so few are not stable.
    fewest_fitted: int = 20
    # Refit after every observation up to this many, then whenever there are 10 % more.
    refit_always: int = 30
    refit_share: float = 0.1
    # Quasi-Newton steps from the prior means. More steps change no proposal.
    fit_steps: int = 25
    # More observations cost more time than they are worth: keep the best half and a spread over the rest.
    most_observations: int = 300
    # Correlations computed for one proposal: 4 million take about 10 ms on one core.
    most_correlations: int = 4_000_000
    # Compute the exact uncertainty only for this many candidates, the best by an upper bound.
    promising: int = 3000
    # Compute the probability of success only for this many candidates.
    shortlist: int = 500
    # Never rule out a configuration entirely because its neighbours failed.
    least_success: float = 1e-3
    prior: Prior = field(default_factory=Prior)
