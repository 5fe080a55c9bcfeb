"""Fit the hyperparameters of a surrogate: maximise the posterior density by L-BFGS-B.

Likelihood and gradient: Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, eq. 5.8 and 5.9. The
signal variance has a closed form, so the optimiser does not search for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import lapack
from scipy.optimize import minimize

from evotune.samplers.covariance import Codes, CovarianceFunction, Hyperparameters, correlation
from evotune.samplers.settings import Prior

Array = npt.NDArray[np.float64]

JITTER = 1e-6
# Bound of the search, in standard deviations from the prior mean: beyond it, exponentials overflow.
_FARTHEST = 5.0


def fit(covariance: CovarianceFunction, codes: Codes, values: Array, steps: int, prior: Prior) -> Hyperparameters:
    """Return the best hyperparameters after at most `steps` iterations from the prior mean, for values with mean 0."""
    means, deviations = covariance.prior(prior)
    objective = _Objective(covariance, codes, values, prior, means, deviations)
    found = minimize(
        objective,
        means,
        jac=True,
        method="L-BFGS-B",
        bounds=np.stack([means - _FARTHEST * deviations, means + _FARTHEST * deviations], axis=1),
        options={"maxiter": steps, "maxfun": steps + steps // 2},
    )
    return Hyperparameters.of(found.x)


@dataclass(frozen=True, eq=False)
class _Objective:
    """The negative log posterior density and its gradient."""

    covariance: CovarianceFunction
    codes: Codes
    values: Array
    prior: Prior
    means: Array
    deviations: Array

    def __call__(self, vector: Array) -> tuple[float, Array]:
        hyper = Hyperparameters.of(vector)
        count, weight = len(self.values), self.prior.observations
        similar = correlation(self.covariance.tables(hyper), self.codes, self.codes)
        noise = float(np.exp(hyper.log_noise))
        log_determinant, inverse = _invert(similar + (noise + JITTER) * np.eye(count))
        weights = inverse @ self.values
        total = float(self.values @ weights) + weight
        value = -0.5 * (count + weight) * np.log(total) - 0.5 * log_determinant
        outer = np.outer(weights, weights) * ((count + weight) / total) - inverse
        gradient = np.append(self._slope(outer * similar, hyper), 0.5 * noise * np.trace(outer))
        standard = (vector - self.means) / self.deviations
        return -float(value - 0.5 * standard @ standard), standard / self.deviations - gradient

    def _slope(self, pull: Array, hyper: Hyperparameters) -> Array:
        """Return the gradient by lengths, then by shares.

        `pull` is the gradient by the log correlation of each pair of configurations. It is summed over pairs of values.
        """
        pulls = {j: self._by_value(pull, j) for j in set(self.covariance.owners)}
        slopes = self.covariance.slopes(hyper)
        parts = [
            [float((pulls[j] * slope[k]).sum()) for j, slope in zip(self.covariance.owners, slopes, strict=True)]
            for k in (0, 1)
        ]
        return 0.5 * np.concatenate([np.asarray(part) for part in parts])

    def _by_value(self, pull: Array, j: int) -> Array:
        members = np.eye(self.covariance.sizes[j])[self.codes[:, j]]
        return np.asarray(members.T @ pull @ members)


def _invert(covariance: Array) -> tuple[float, Array]:
    """Return the log determinant and the inverse of a positive definite matrix."""
    factor, failed = lapack.dpotrf(covariance, lower=1)
    if failed:
        raise AssertionError("a correlation matrix with jitter is positive definite")
    lower = np.tril(lapack.dpotri(factor, lower=1)[0])
    return 2.0 * float(np.log(np.diag(factor)).sum()), lower + np.tril(lower, -1).T
