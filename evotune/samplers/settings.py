"""The constants of the evolution sampler, in one place, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Prior:
    """Normal priors over logarithms of length scales (1 = a parameter's whole extent) and of the noise's share.

    `observations` is the weight of the prior signal variance of 1, in pseudo-observations.
    """

    length_mean: float = float(np.log(0.8))
    length_deviation: float = 1.0
    noise_mean: float = float(np.log(1e-3))
    noise_deviation: float = 1.5
    observations: float = 3.0


@dataclass(frozen=True)
class Settings:
    """How the evolution sampler spends a budget of some hundreds of evaluations."""

    # Enough for a first guess at ten length scales; a sixteenth of a budget of 200.
    initial: int = 12
    # The spread-out start is chosen from so many random configurations a time: more would seek out corners.
    initial_pool: int = 500
    # A surrogate of fewer observations knows nothing; until then the search keeps spreading out.
    fewest_measured: int = 4
    # Every fourth proposal is bred from the archives: the surrogate alone overlooks isolated optima.
    breed_every: int = 4
    elites: int = 8
    # Niches are combinations of values of this many parameters, those with the largest effects.
    niche_parameters: int = 2
    offspring: int = 400
    crossover_share: float = 0.5
    # Surrogate: refitted when a tenth more is known; 30 steps reach the optimum from the prior's mean.
    refit_share: float = 0.1
    fit_steps: int = 30
    # More observations than this cost more than they tell: the best half and a spread over the rest are kept.
    most_observations: int = 400
    # Correlations computed for one proposal: 2 million take about 25 ms on one core.
    most_correlations: int = 2_000_000
    # So many of the most promising are weighed by their probability to succeed.
    shortlist: int = 500
    # No configuration is given up entirely because its neighbours failed.
    least_success: float = 1e-3
    prior: Prior = field(default_factory=Prior)
