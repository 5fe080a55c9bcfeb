"""Crossover and mutation. Offspring that are invalid or already seen are dropped, not repaired or penalised."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from evotune.samplers.effects import ParameterEffects
from evotune.samplers.history import History
from evotune.samplers.settings import Settings
from evotune.space import Parameter, ValidSet

Rows = npt.NDArray[np.int64]


def breed(
    valid: ValidSet, history: History, effects: ParameterEffects, settings: Settings, rng: np.random.Generator
) -> Rows:
    """Return the indices of the elite's offspring and neighbours that are valid and unseen; may be empty."""
    elite = history.measured[np.argsort(history.values, kind="stable")][: settings.elites]
    parents = valid.codes[elite].astype(np.int64)
    children = parents[rng.integers(len(parents), size=settings.offspring)]
    crossed = rng.random(len(children)) < settings.crossover_share
    children[crossed] = crossover(children[crossed], parents, rng)
    # Mutate half of the children of two parents, and every copy of one parent.
    mutated = ~crossed | (rng.random(len(children)) < 0.5)
    children[mutated] = mutate(children[mutated], valid.parameters, effects, settings, rng)
    found = valid.find(children)
    neighbours = [valid.neighbours(int(i)) for i in elite]
    candidates = np.unique(np.concatenate([found[found >= 0], *neighbours]))
    return np.asarray(candidates[history.unseen(len(valid))[candidates]])


def crossover(rows: Rows, parents: Rows, rng: np.random.Generator) -> Rows:
    """Cross every row with a random parent: each parameter comes from either with probability 1/2."""
    mates = parents[rng.integers(len(parents), size=len(rows))]
    return np.where(rng.random(rows.shape) < 0.5, rows, mates)


def mutate(
    rows: Rows,
    parameters: tuple[Parameter, ...],
    effects: ParameterEffects,
    settings: Settings,
    rng: np.random.Generator,
) -> Rows:
    """Change one parameter of every row, or one and a partner.

    An ordered parameter moves by a small step; any other one takes a random other value.
    """
    rows = rows.copy()
    first = rng.choice(len(parameters), size=len(rows), p=effects.mutation_weights())
    paired = rng.random(len(rows)) < settings.paired_share
    for j, parameter in enumerate(parameters):
        here = np.flatnonzero(first == j)
        rows[here, j] = _step(rows[here, j], parameter, rng)
        along = here[paired[here]]
        partners = rng.choice(len(parameters), size=len(along), p=effects.partner_weights(j))
        for k in np.unique(partners):
            chosen = along[partners == k]
            rows[chosen, k] = _step(rows[chosen, k], parameters[k], rng)
    return rows


def _step(codes: Rows, parameter: Parameter, rng: np.random.Generator) -> Rows:
    size = len(parameter.values)
    if not parameter.is_scale:
        return np.asarray((codes + rng.integers(1, size, size=len(codes))) % size) if size > 1 else codes
    steps = rng.geometric(0.5, size=len(codes)) * rng.choice([-1, 1], size=len(codes))
    return np.asarray(np.clip(codes + steps, 0, size - 1))
