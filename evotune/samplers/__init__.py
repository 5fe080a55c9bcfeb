"""Samplers, one in each file: Optuna samplers that propose only valid configurations, and none twice."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from evotune.samplers.base import SpaceExhausted, SpaceSampler
from evotune.samplers.evolution import EvolutionSampler
from evotune.samplers.gp import GPSampler
from evotune.samplers.nsga2 import NSGAIISampler
from evotune.samplers.qmc import QMCSampler
from evotune.samplers.random import RandomSampler
from evotune.samplers.tpe import TPESampler
from evotune.space import ValidSet
from evotune.suggestions import did_you_mean

SAMPLERS: Mapping[str, type[SpaceSampler]] = MappingProxyType(
    {
        "evolution": EvolutionSampler,
        "gp": GPSampler,
        "nsga2": NSGAIISampler,
        "qmc": QMCSampler,
        "random": RandomSampler,
        "tpe": TPESampler,
    }
)


def make_sampler(name: str, valid: ValidSet, seed: int) -> SpaceSampler:
    """Create the sampler with this name.

    Raises ValueError for an unknown name, with the nearest known one.
    """
    if name not in SAMPLERS:
        raise ValueError(
            f"a sampler must be one of {', '.join(SAMPLERS)}, got {name!r}; {did_you_mean(name, SAMPLERS)}"
        )
    return SAMPLERS[name](valid, seed)


__all__ = ["SAMPLERS", "SpaceExhausted", "SpaceSampler", "make_sampler"]
