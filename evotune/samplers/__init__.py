"""Samplers: a file each, all behind Optuna's interface, all proposing valid, unrepeated configurations only."""

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
    """The sampler of that name; ValueError suggests the nearest name."""
    if name not in SAMPLERS:
        raise ValueError(
            f"a sampler must be one of {', '.join(SAMPLERS)}, got {name!r}; {did_you_mean(name, SAMPLERS)}"
        )
    return SAMPLERS[name](valid, seed)


__all__ = ["SAMPLERS", "SpaceExhausted", "SpaceSampler", "make_sampler"]
