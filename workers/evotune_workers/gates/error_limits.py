"""Limits on errors, set by the pinned baseline's own errors on the same inputs (used by `numerics` and `tails`)."""

from __future__ import annotations

from collections.abc import Sequence

from evotune_workers.gates.gate import GateCriteria, GateResult, Observation


def judge_errors(gate: str, observation: Observation, criteria: GateCriteria) -> GateResult:
    """Judge errors: max and RMS error of every group must be within the kernel's `numerics` factors of the baseline's.

    No limit is below the factor times the error of rounding the exact result. A baseline that happens to be exact on
    some inputs (one key, say) would otherwise demand an exact result.
    """
    errors = observation.errors
    if errors is None or not errors.kernel_max:
        return GateResult(gate, False, "the errors were not measured", observation.workload)
    max_limits = _limits(errors.baseline_max, errors.rounding_max, criteria.max_factor)
    rms_limits = _limits(errors.baseline_rms, errors.rounding_rms, criteria.rms_factor)
    worst_max = _worst(errors.kernel_max, max_limits)
    worst_rms = _worst(errors.kernel_rms, rms_limits)
    return GateResult(
        gate=gate,
        passed=_within(errors.kernel_max, max_limits) and _within(errors.kernel_rms, rms_limits),
        reason=_reason("max", errors.kernel_max, max_limits) or _reason("RMS", errors.kernel_rms, rms_limits),
        workload=observation.workload,
        distribution=observation.distribution,
        seed=observation.seed,
        max_error=errors.kernel_max[worst_max],
        max_limit=max_limits[worst_max],
        rms_error=errors.kernel_rms[worst_rms],
        rms_limit=rms_limits[worst_rms],
        figures=observation.figures,
    )


def _limits(baseline: Sequence[float], rounding: Sequence[float], factor: float) -> list[float]:
    return [factor * max(ours, exact) for ours, exact in zip(baseline, rounding, strict=True)]


def _within(errors: Sequence[float], limits: Sequence[float]) -> bool:
    return all(error <= limit for error, limit in zip(errors, limits, strict=True))


def _worst(errors: Sequence[float], limits: Sequence[float]) -> int:
    """Return the index of the group closest to its limit, or furthest past it; a NaN is past every limit."""

    def excess(group: int) -> float:
        error, limit = errors[group], limits[group]
        if not error <= limit:
            return error / limit if limit > 0 and error == error else float("inf")
        return error / limit if limit > 0 else 0.0

    return max(range(len(errors)), key=excess)


def _reason(name: str, errors: Sequence[float], limits: Sequence[float]) -> str | None:
    wrong = [group for group, (error, limit) in enumerate(zip(errors, limits, strict=True)) if not error <= limit]
    if not wrong:
        return None
    worst = _worst(errors, limits)
    return (
        f"{name} error must be <= {limits[worst]:.3g}, got {errors[worst]:.3g} in group {worst}"
        f" ({len(wrong)} of {len(errors)} groups wrong)"
    )
