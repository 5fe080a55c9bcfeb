"""Where text goes: consoles for people and for pipes, and how times, speed-ups and configurations are put in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from rich.console import Console

# A pipe has no width: a line of output stays one line, so that grep and cut work on it.
PIPE_WIDTH = 1000


def console(stream: IO[str]) -> Console:
    """A console on `stream` that prints text as it is: no markup, no emoji codes, no highlighting."""
    result = Console(file=stream, markup=False, emoji=False, highlight=False)
    if not result.is_terminal:
        result.width = PIPE_WIDTH
    return result


def microseconds(value: float) -> str:
    """A time given in microseconds, in the unit that suits it."""
    return f"{value / 1000:.2f} ms" if value >= 1000 else f"{value:.1f} us"


def duration(value: float) -> str:
    """A time given in seconds, such as `4 min 10 s`."""
    if value < 10:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def speedup(value: float, low: float, high: float) -> str:
    """A speed-up with its 95 % interval, such as `1.42x [1.40, 1.44]`."""
    return f"{value:.2f}x [{low:.2f}, {high:.2f}]"


def recorded(milliseconds: float, optimum_ms: float) -> str:
    """A time that was recorded by somebody and not measured here, beside the shortest of the recording."""
    return f"{microseconds(1000 * milliseconds)} recorded, {100 * optimum_ms / milliseconds:.1f} % of the optimum"


def assignments(values: Mapping[str, Any]) -> str:
    """`name=value` for each, separated by blanks; booleans as in YAML."""
    return " ".join(f"{name}={_value(value)}" for name, value in values.items())


def changes(values: Mapping[str, Any], base: Mapping[str, Any], base_name: str) -> str:
    """What to change in a configuration that was shown before: `as 49, but tile_n=32`."""
    changed = {name: value for name, value in values.items() if name not in base or base[name] != value}
    without = [name for name in base if name not in values]
    told = [assignments(changed), f"without {', '.join(without)}" if without else ""]
    return ", but ".join([f"as {base_name}", *([" ".join(filter(None, told))] if any(told) else [])])


def counts(values: Mapping[str, int]) -> str:
    """`name number` for each, the largest first, separated by commas."""
    return ", ".join(
        f"{name} {number}" for name, number in sorted(values.items(), key=lambda item: (-item[1], item[0]))
    )


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
