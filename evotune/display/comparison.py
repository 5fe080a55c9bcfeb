"""The result of `evotune compare` as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from evotune.trials.compare import Comparison


def print_comparison(found: Comparison, target: Console) -> None:
    """Print the verdict and the figures in two lines."""
    target.print(comparison_text(found), soft_wrap=True)


def comparison_text(found: Comparison) -> str:
    """Return the verdict and the figures in two lines."""
    times = f"{found.first_us:.4g} us against {found.second_us:.4g} us"
    figures = f"{found.speedup:.3f}x [{found.speedup_low:.3f}, {found.speedup_high:.3f}]"
    verdict = found.verdict if found.verdict == "no difference seen" else f"{found.first} is {found.verdict}"
    return f"{found.first} against {found.second} at {found.workload} on {found.device}\n{verdict}: {figures}, {times}"
