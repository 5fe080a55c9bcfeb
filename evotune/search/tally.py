"""Counts of finished trials, and the rate at which they finish."""

from __future__ import annotations

from collections import Counter

from evotune.search.reporter import TrialLine


class Tally:
    """Counts of finished trials out of a budget."""

    def __init__(self, budget: int, build_only: bool = False) -> None:
        """`budget` is the number of trials that this run may finish; `build_only`: none of them is measured."""
        self.budget = budget
        self.build_only = build_only
        self.finished = 0
        self.passed = 0
        self.built = 0
        self.failed: Counter[str] = Counter()
        self.elapsed_seconds = 0.0

    def add(self, line: TrialLine) -> None:
        """Count one more finished trial."""
        self.finished += 1
        self.elapsed_seconds = max(self.elapsed_seconds, line.elapsed_seconds)
        if line.state == "passed":
            self.passed += 1
        elif line.state == "built":
            self.built += 1
        else:
            self.failed[line.failed_gate or "unknown gate"] += 1

    def remove(self, line: TrialLine) -> None:
        """Remove a trial whose outcome was taken back."""
        self.finished -= 1
        if line.state == "passed":
            self.passed -= 1
        elif line.state == "built":
            self.built -= 1
        else:
            self.failed[line.failed_gate or "unknown gate"] -= 1
        self.failed = +self.failed

    @property
    def trials_per_minute(self) -> float | None:
        """Finished trials per minute since the run started; None before the first."""
        return 60 * self.finished / self.elapsed_seconds if self.elapsed_seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """Seconds for the rest of the budget at the rate so far; None before the first trial."""
        if self.finished == 0 or self.elapsed_seconds <= 0:
            return None
        return max(self.budget - self.finished, 0) * self.elapsed_seconds / self.finished
