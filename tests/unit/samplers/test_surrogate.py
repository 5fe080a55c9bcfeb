"""The surrogate of the evolution sampler: what it takes two configurations to have in common, and what it learns."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evotune.samplers.aspects import aspects_of, unevenness
from evotune.samplers.covariance import CovarianceFunction, Hyperparameters, correlation
from evotune.samplers.fitting import _Objective, fit
from evotune.samplers.settings import Prior
from evotune.samplers.surrogate import SurrogateInputs, condition
from evotune.space import Parameter, ValidSet
from evotune.space.quantity import Quantity
from evotune.space.space_file import parse_space

BLOCK = Parameter("block", (16, 32, 48, 64, 80), "ordered")


@pytest.fixture(scope="module")
def valid() -> ValidSet:
    text = "\n".join(
        [
            "kernel: k",
            "variant: cpu",
            "parameters:",
            "  block: [16, 32, 48, 64, 80, 96]",
            "  tile: [1, 2, 4, 8]",
            "  order: [row, column, tile]",
            "  padding: [true, false]",
        ]
    )
    return parse_space(text, "space.yaml").enumerate({})


def times(valid: ValidSet) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Standardised: the best tile depends on the block, the padding does nothing."""
    x = valid.codes.astype(np.float64)
    values = (x[:, 1] - 0.5 * x[:, 0]) ** 2 + 0.7 * x[:, 0] + (x[:, 2] == 1)
    return np.asarray((values - values.mean()) / values.std())


def test_48_is_like_64_in_size_and_like_80_in_what_divides_it() -> None:
    size, twos, odd = aspects_of(BLOCK)
    assert size[2, 3] < size[2, 0]
    assert twos[2, 4] == 0.0 < twos[2, 3]
    assert odd[1, 3] == 0.0 < odd[1, 2]


def test_categories_and_booleans_are_alike_or_not() -> None:
    assert [table.tolist() for table in aspects_of(Parameter("p", ("x", "y"), "categorical"))] == [[[0, 1], [1, 0]]]
    assert len(aspects_of(Parameter("p", (True, False), "boolean"))) == 1
    assert aspects_of(Parameter("p", (7,), "ordered")) == []


def test_powers_of_two_are_even_and_switches_are_neither() -> None:
    assert unevenness(BLOCK).tolist() == pytest.approx([0.0, 0.0, 1 - 1 / 3, 0.0, 1 - 1 / 5])
    assert unevenness(Parameter("p", (-3, 0, 2), "ordered")).tolist() == pytest.approx([1 - 1 / 3, 0.0, 0.0])
    assert unevenness(Parameter("p", (0, 3), "ordered")).tolist() == [0.0, 0.0]
    assert unevenness(Parameter("p", (1, 2, 4), "power_of_two")).tolist() == [0.0] * 3


def test_a_configuration_is_wholly_like_itself_and_less_like_others(valid: ValidSet) -> None:
    covariance = CovarianceFunction(valid.parameters)
    hyper = Hyperparameters.of(covariance.prior(Prior())[0])
    matrix = correlation(covariance.tables(hyper), valid.codes, valid.codes)
    assert np.diag(matrix) == pytest.approx(1.0)
    assert np.linalg.eigvalsh(matrix).min() > -1e-9
    assert matrix.min() > 0.0
    assert (matrix - np.eye(len(valid))).max() < 1.0


def test_the_gradient_of_the_posterior_agrees_with_differences(valid: ValidSet) -> None:
    covariance, prior = CovarianceFunction(valid.parameters), Prior()
    means, deviations = covariance.prior(prior)
    rng = np.random.default_rng(0)
    chosen = rng.choice(len(valid), size=30, replace=False)
    objective = _Objective(covariance, valid.codes[chosen], times(valid)[chosen], prior, means, deviations)
    at = means + 0.5 * rng.standard_normal(len(means))
    steps = 1e-5 * np.eye(len(at))
    differences = [(objective(at + step)[0] - objective(at - step)[0]) / 2e-5 for step in steps]
    assert objective(at)[1] == pytest.approx(differences, rel=1e-4, abs=1e-4)


def test_it_reproduces_what_it_was_told_and_doubts_what_is_far(valid: ValidSet) -> None:
    prior = Prior()
    inputs, values = SurrogateInputs(valid, prior), times(valid)
    level = np.zeros(len(valid), dtype=np.float32)
    told = np.random.default_rng(0).choice(len(valid), size=60, replace=False)
    hyper = fit(inputs.covariance, valid.codes[told], values[told] - values[told].mean(), 30, prior)
    process = condition(inputs, told, values[told], hyper, prior, level)
    mean, deviation = process.predict(np.arange(len(valid)))
    untold = np.setdiff1d(np.arange(len(valid)), told)
    assert np.abs(mean[told] - values[told]).max() < 0.2
    assert np.sqrt(np.mean((mean[untold] - values[untold]) ** 2)) < 0.5
    assert deviation[untold].mean() > 1.5 * deviation[told].mean()


def test_it_learns_that_a_parameter_does_nothing(valid: ValidSet) -> None:
    covariance = CovarianceFunction(valid.parameters)
    hyper = fit(covariance, valid.codes, times(valid), 60, Prior())
    padding, order = covariance.owners.index(3), covariance.owners.index(2)
    factor = covariance.tables(hyper)
    assert factor[3][0, 1] > factor[2][0, 1]
    assert hyper.log_lengths[padding] > hyper.log_lengths[order]


def test_a_bound_of_the_deviation_is_never_below_it(valid: ValidSet) -> None:
    prior = Prior()
    inputs, values = SurrogateInputs(valid, prior), times(valid)
    told = np.arange(0, len(valid), 5)
    hyper = fit(inputs.covariance, valid.codes[told], values[told], 30, prior)
    process = condition(inputs, told, values[told], hyper, prior, inputs.trend)
    correlations = process.correlations(np.arange(len(valid)))
    assert (process.deviation_bounds(correlations) >= process.deviations(correlations) - 1e-3).all()


def test_correlations_are_the_same_whatever_is_multiplied_at_once(
    valid: ValidSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    prior = Prior()
    inputs, told = SurrogateInputs(valid, prior), np.arange(0, len(valid), 5)
    hyper = Hyperparameters.of(inputs.covariance.prior(prior)[0])
    process = condition(inputs, told, times(valid)[told], hyper, prior, inputs.trend)
    everything = np.arange(len(valid))
    at_once = process.correlations(everything)
    assert at_once == pytest.approx(
        correlation(inputs.covariance.tables(hyper), valid.codes, valid.codes[told]), rel=1e-5
    )
    monkeypatch.setattr("evotune.samplers.surrogate._BLOCK_BYTES", 7 * at_once[0].nbytes)
    assert (process.correlations(everything) == at_once).all()


def test_a_process_of_more_is_the_same_by_the_tables_of_one_of_fewer(valid: ValidSet) -> None:
    prior, values = Prior(), times(valid)
    inputs, told = SurrogateInputs(valid, prior), np.arange(0, len(valid), 5)
    hyper = Hyperparameters.of(inputs.covariance.prior(prior)[0])
    fewer = condition(inputs, told[:9], values[told[:9]], hyper, prior, inputs.trend)
    anew = condition(inputs, told, values[told], hyper, prior, inputs.trend)
    grown = condition(inputs, told, values[told], hyper, prior, inputs.trend, fewer)
    for one, other in zip(anew.predict(np.arange(len(valid))), grown.predict(np.arange(len(valid))), strict=True):
        assert (one == other).all()


def test_before_anything_is_known_an_uneven_block_is_expected_to_be_slower(valid: ValidSet) -> None:
    inputs = SurrogateInputs(valid, Prior())
    even, uneven = (valid.index({"block": block, "tile": 4, "order": "row", "padding": True}) for block in (64, 80))
    assert inputs.trend[even] == 0.0 < inputs.trend[uneven]


def test_what_a_kernel_derives_tells_the_surrogate_of_failures_where_a_limit_lies() -> None:
    """A block of more than 256 threads fails: the product of three parameters, none of which says so alone."""
    sizes = (1, 2, 4, 8, 16, 32, 64)
    parameters = [Parameter(name, sizes, "power_of_two") for name in ("x", "y", "z")]
    everything = [{"x": x, "y": y, "z": z} for x in sizes for y in sizes for z in sizes]
    valid, prior = ValidSet.of(parameters, everything), Prior()
    threads = np.array([math.prod(valid.configuration(i).values()) for i in range(len(valid))], dtype=float)
    failed = np.where(threads > 256, 1.0, -1.0)
    told = np.random.default_rng(0).choice(len(valid), size=40, replace=False)
    level = np.zeros(len(valid), dtype=np.float32)

    def error(*quantities: Quantity) -> float:
        inputs = SurrogateInputs(valid, prior, quantities)
        hyper = fit(inputs.covariance, inputs.codes[told], failed[told] - failed[told].mean(), 25, prior)
        mean, _ = condition(inputs, told, failed[told], hyper, prior, level).predict(np.arange(len(valid)))
        return float(np.mean(np.sign(mean) != failed))

    assert error(Quantity.of("threads", threads)) < 0.5 * error()
