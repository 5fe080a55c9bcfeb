"""A configuration by itself: its canonical text, and its check against the parameters of a space."""

from __future__ import annotations

from collections.abc import Sequence

from evotune.space.parameter import Parameter
from evotune.suggestions import did_you_mean
from evotune_workers.kernel.contract import Configuration, Value


def configuration_key(configuration: Configuration) -> str:
    """Return the canonical text of a configuration: "tile_m=48,tile_n=128", sorted by name, booleans in lower case."""
    return ",".join(f"{name}={_value_text(value)}" for name, value in sorted(configuration.items()))


def misfit(parameters: Sequence[Parameter], configuration: Configuration) -> str | None:
    """Return the reason why a configuration does not have one known value for each parameter, None if it does.

    Constraints are not checked.
    """
    names = [parameter.name for parameter in parameters]
    for name in configuration:
        if name not in names:
            return f"a configuration must have the space's parameters only, got {name!r}; {did_you_mean(name, names)}"
    for parameter in parameters:
        if parameter.name not in configuration:
            return f"a configuration must have a value for every parameter, got none for {parameter.name}; add it"
        value = configuration[parameter.name]
        if not parameter.has(value):
            values = ", ".join(_value_text(known) for known in parameter.values)
            return f"{parameter.name} must be one of {values}, got {_value_text(value)}"
    return None


def _value_text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
