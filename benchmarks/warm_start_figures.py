"""What a warm start is worth: trials until a search is near the best that it or the search without one found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

WITHIN = (0.02, 0.05)


@dataclass(frozen=True)
class Searched:
    """One search: objectives (time over the baseline's) in the order of the trials, None where one failed.

    `best` is the objective, in the search, of the trial that it ended with; `over_best` that trial's time over the
    shorter of the two searches', timed side by side. Together they put two searches on one scale, whatever the machine
    did between them.
    """

    objectives: tuple[float | None, ...]
    best: float
    over_best: float

    def trials_until(self, within: float) -> int | None:
        """How many trials it took to come within that share of the best; None where it never did."""
        for number, objective in enumerate(self.objectives, start=1):
            if objective is not None and self._over_best(objective) <= 1 + within:
                return number
        return None

    def curve(self) -> list[float | None]:
        """The best so far over the best of both, after each trial; None before the first that passed."""
        best: float | None = None
        curve: list[float | None] = []
        for objective in self.objectives:
            if objective is not None:
                over_best = self._over_best(objective)
                best = round(over_best if best is None else min(best, over_best), 4)
            curve.append(best)
        return curve

    def _over_best(self, objective: float) -> float:
        return objective / self.best * self.over_best


@dataclass(frozen=True)
class Saving:
    """Trials that two searches of one budget took to come near the best; None for one that never did."""

    cold: int | None
    warm: int | None
    budget: int

    @property
    def saved(self) -> int:
        """By the warm start, negative where it cost some; a search that never came near took its whole budget."""
        return (self.cold or self.budget) - (self.warm or self.budget)


def saving(cold: Searched, warm: Searched, within: float) -> Saving:
    """Of two searches of one budget."""
    return Saving(cold.trials_until(within), warm.trials_until(within), len(cold.objectives))


def trials_until(cold: Searched, warm: Searched) -> dict[str, dict[str, int | None]]:
    """For the record, by "2%" and the like."""
    savings = {within: saving(cold, warm, within) for within in WITHIN}
    return {f"{within:.0%}": {**asdict(each), "saved": each.saved} for within, each in savings.items()}


def total(shapes: Iterable[Mapping[str, Any]], within: float) -> tuple[int, int, int]:
    """Trials saved, those that the cold searches took, and the shapes with a result, of shapes as they are recorded."""
    found = [shape["trials_until"][f"{within:.0%}"] for shape in shapes if "trials_until" in shape]
    return sum(each["saved"] for each in found), sum(each["cold"] or each["budget"] for each in found), len(found)
