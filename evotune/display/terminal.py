"""Consoles for terminals and pipes; and times, speed-ups and configurations as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from rich.console import Console

# A pipe has no width: a line of output stays one line, so that grep and cut work on it.
PIPE_WIDTH = 1_000_000
MINUTES, SECONDS = "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"


def console(stream: IO[str]) -> Console:
    """Return a console that prints text to `stream` as it is: no markup, no emoji codes, no highlighting."""
    result = Console(file=stream, markup=False, emoji=False, highlight=False)
    if not result.is_terminal:
        result.width = PIPE_WIDTH
    return result


def microseconds(value: float) -> str:
    """Return a time in microseconds with its unit; long times become milliseconds."""
    return f"{value / 1000:.2f} ms" if value >= 1000 else f"{value:.1f} us"


def duration(value: float) -> str:
    """Return a time in seconds with its units, such as `4 min 10 s`."""
    if value < 10:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def percent(value: float) -> str:
    """Return a percentage, such as `41.5%`."""
    return f"{value:.1f}%"


def speedup(value: float, low: float, high: float) -> str:
    """Return a speed-up with its 95 % interval, such as `1.42x [1.40, 1.44]`."""
    return f"{value:.2f}x [{low:.2f}, {high:.2f}]"


def recorded(milliseconds: float, optimum_ms: float) -> str:
    """Return a time of a recording, which was not measured here, beside the shortest one of that recording."""
    return f"{microseconds(1000 * milliseconds)} recorded, {100 * optimum_ms / milliseconds:.1f} % of the optimum"


def assignments(values: Mapping[str, Any]) -> str:
    """Return `name=value` for each, separated by blanks."""
    return " ".join(f"{name}={parameter_value(value)}" for name, value in values.items())


def parameter_value(value: Any) -> str:
    """Return a parameter's value as text; booleans as in YAML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def changes(values: Mapping[str, Any], base: Mapping[str, Any], base_name: str) -> str:
    """Return how a configuration differs from one that was shown before: `as 49, but tile_n=32`."""
    changed = {name: value for name, value in values.items() if name not in base or base[name] != value}
    without = [name for name in base if name not in values]
    told = [assignments(changed), f"without {', '.join(without)}" if without else ""]
    return ", but ".join([f"as {base_name}", *([" ".join(filter(None, told))] if any(told) else [])])


def counts(values: Mapping[str, int]) -> str:
    """Return `name number` for each, the largest first, separated by commas."""
    return ", ".join(
        f"{name} {number}" for name, number in sorted(values.items(), key=lambda item: (-item[1], item[0]))
    )
