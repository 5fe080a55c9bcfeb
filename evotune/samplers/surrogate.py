"""A Gaussian process over encoded configurations: what is expected of an unseen one, and how surely.

Matern 5/2 with a length scale per parameter (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006,
eq. 4.17; likelihood and gradient: eq. 5.8 and 5.9). Length scales and noise maximise the posterior by resilient
propagation (Riedmiller and Braun, 1993), which needs signs of gradients only; the signal variance has a closed form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evotune.samplers.settings import Prior

Array = npt.NDArray[np.float64]
Features = npt.NDArray[np.float32]

_ROOT_5 = float(np.sqrt(5.0))
_JITTER = 1e-6
# Steps of logarithms, in resilient propagation.
_FIRST_STEP, _LEAST_STEP, _LARGEST_STEP = 0.2, 0.01, 1.0


@dataclass(frozen=True, eq=False)
class Hyperparameters:
    """Logarithms of a length scale per parameter, and of the noise variance as a share of the signal's."""

    log_lengths: Array
    log_noise: float


@dataclass(frozen=True, eq=False)
class GaussianProcess:
    """A fitted process. Values are in the units that it was fitted in, with a prior mean of `mean`."""

    points: Features
    weights: Array
    inverse_factor: Array
    scale: Array
    signal: float
    mean: float

    def predict(self, features: Features) -> tuple[Features, Features]:
        """Mean and standard deviation at rows of coordinates, shape (m, coordinates) -> (m,), (m,), in float32."""
        correlation = matern(_squared_distances(features * self.scale.astype(np.float32), self.points))
        mean = correlation @ self.weights.astype(np.float32) + np.float32(self.mean)
        explained = np.square(correlation @ self.inverse_factor.T.astype(np.float32)).sum(axis=1)
        deviation = np.sqrt(np.float32(self.signal) * np.maximum(1.0 - explained, 1e-9))
        return mean, deviation.astype(np.float32)


def matern(squared: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Matern 5/2 correlation of squared scaled distances."""
    distance = np.sqrt(squared)
    distance *= _ROOT_5
    correlation = np.exp(-distance)
    distance += 1.0
    distance += squared * (5.0 / 3.0)
    correlation *= distance
    return np.asarray(correlation)


def fit(features: Features, owners: npt.NDArray[np.int64], values: Array, steps: int, prior: Prior) -> Hyperparameters:
    """The best hyperparameters seen in `steps` of ascent from the prior's mean.

    `features`: shape (n, coordinates); `owners`: the parameter of each coordinate; `values`: shape (n,), standardised.
    """
    squares = _squares(features, owners)
    theta = np.append(np.full(len(squares), prior.length_mean), prior.noise_mean)
    best, best_value = theta, -np.inf
    step, last = np.full(len(theta), _FIRST_STEP), np.zeros(len(theta))
    for _ in range(steps):
        value, gradient = _log_posterior(theta, squares, values, prior)
        if value > best_value:
            best, best_value = theta, value
        turned = np.sign(gradient) * last
        step = np.clip(step * np.where(turned > 0, 1.5, np.where(turned < 0, 0.5, 1.0)), _LEAST_STEP, _LARGEST_STEP)
        last = np.where(turned < 0, 0.0, np.sign(gradient))
        theta = theta + step * last
    return Hyperparameters(best[:-1], float(best[-1]))


def condition(
    features: Features, owners: npt.NDArray[np.int64], values: Array, hyper: Hyperparameters, prior: Prior
) -> GaussianProcess:
    """The process given these observations."""
    scale = np.exp(-hyper.log_lengths)[owners]
    points = (features * scale).astype(np.float32)
    mean = float(values.mean())
    squared = np.square((points[:, np.newaxis, :] - points[np.newaxis, :, :]).astype(np.float64)).sum(axis=2)
    covariance = matern(squared) + (np.exp(hyper.log_noise) + _JITTER) * np.eye(len(values))
    inverse_factor = np.linalg.inv(np.linalg.cholesky(covariance))
    weights = inverse_factor.T @ (inverse_factor @ (values - mean))
    signal = ((values - mean) @ weights + prior.observations) / (len(values) + prior.observations)
    return GaussianProcess(points, weights, inverse_factor, scale, float(signal), mean)


def _squared_distances(left: Features, right: Features) -> Features:
    squared = left @ right.T
    squared *= -2.0
    squared += np.square(left).sum(axis=1)[:, np.newaxis]
    squared += np.square(right).sum(axis=1)
    return np.asarray(np.maximum(squared, 0.0, out=squared))


def _squares(features: Features, owners: npt.NDArray[np.int64]) -> Array:
    count = int(owners.max()) + 1
    squares = np.zeros((count, len(features), len(features)))
    for column, owner in zip(features.T.astype(np.float64), owners, strict=True):
        squares[owner] += np.square(column[:, np.newaxis] - column)
    return squares.reshape(count, -1)


def _log_posterior(theta: Array, squares: Array, values: Array, prior: Prior) -> tuple[float, Array]:
    count = len(values)
    precision = np.exp(-2.0 * theta[:-1])
    noise = np.exp(theta[-1])
    distance = np.sqrt(precision @ squares)
    decay = np.exp(-_ROOT_5 * distance)
    slope = (5.0 / 3.0) * (1.0 + _ROOT_5 * distance) * decay
    correlation = ((1.0 + _ROOT_5 * distance + (5.0 / 3.0) * distance**2) * decay).reshape(count, count)
    factor = np.linalg.cholesky(correlation + (noise + _JITTER) * np.eye(count))
    half = np.linalg.inv(factor)
    inverse = half.T @ half
    weights = inverse @ values
    total = values @ weights + prior.observations
    value = -0.5 * (count + prior.observations) * np.log(total) - np.log(np.diag(factor)).sum()
    outer = np.outer(weights, weights) * ((count + prior.observations) / total) - inverse
    gradient = np.append(0.5 * precision * (squares @ (outer.ravel() * slope)), 0.5 * noise * np.trace(outer))
    means = np.append(np.full(len(theta) - 1, prior.length_mean), prior.noise_mean)
    deviations = np.append(np.full(len(theta) - 1, prior.length_deviation), prior.noise_deviation)
    standard = (theta - means) / deviations
    return float(value - 0.5 * standard @ standard), gradient - standard / deviations
