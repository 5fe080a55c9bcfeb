"""Crossover and mutation; what is not valid or already seen is dropped, never repaired or penalised."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from evotune.samplers.archives import Archives
from evotune.samplers.history import History
from evotune.samplers.insight import Insight
from evotune.samplers.settings import Settings
from evotune.space import Parameter, ValidSet

Rows = npt.NDArray[np.int64]


def breed(
    valid: ValidSet,
    history: History,
    archives: Archives,
    insight: Insight,
    settings: Settings,
    rng: np.random.Generator,
) -> Rows:
    """Numbers of unseen valid configurations: offspring of the archives and neighbours of the elite; may be empty."""
    parents = valid.codes[archives.parents].astype(np.int64)
    children = parents[rng.integers(len(parents), size=settings.offspring)]
    crossed = rng.random(len(children)) < settings.crossover_share
    children[crossed] = crossover(children[crossed], parents, rng)
    # A child of two parents is also mutated half of the time, a copy of one always.
    mutated = ~crossed | (rng.random(len(children)) < 0.5)
    children[mutated] = mutate(children[mutated], valid.parameters, insight.mutation_weights(), rng)
    found = valid.find(children)
    neighbours = [valid.neighbours(int(i)) for i in archives.elite]
    candidates = np.unique(np.concatenate([found[found >= 0], *neighbours]))
    return np.asarray(candidates[history.unseen(len(valid))[candidates]])


def crossover(rows: Rows, parents: Rows, rng: np.random.Generator) -> Rows:
    """Uniform crossover of every row with a random parent."""
    mates = parents[rng.integers(len(parents), size=len(rows))]
    return np.where(rng.random(rows.shape) < 0.5, rows, mates)


def mutate(
    rows: Rows, parameters: tuple[Parameter, ...], weights: npt.NDArray[np.float64], rng: np.random.Generator
) -> Rows:
    """One to three parameters of every row get another value: a small step on a scale, any without one."""
    rows = rows.copy()
    changes = np.minimum(rng.geometric(0.6, size=len(rows)), 3)
    for change in range(int(changes.max(initial=0))):
        chosen = rng.choice(len(parameters), size=len(rows), p=weights)
        for j, parameter in enumerate(parameters):
            here = (chosen == j) & (changes > change)
            rows[here, j] = _step(rows[here, j], parameter, rng)
    return rows


def _step(codes: Rows, parameter: Parameter, rng: np.random.Generator) -> Rows:
    size = len(parameter.values)
    if not parameter.is_scale:
        return np.asarray((codes + rng.integers(1, size, size=len(codes))) % size) if size > 1 else codes
    steps = rng.geometric(0.5, size=len(codes)) * rng.choice([-1, 1], size=len(codes))
    return np.asarray(np.clip(codes + steps, 0, size - 1))
