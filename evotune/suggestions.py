"""Suggestions for misspelt names in error texts."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggest the nearest known name for an unknown one, or list all of them where none is near."""
    choices = sorted(known)
    nearest = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    if nearest:
        return f"did you mean {nearest[0]!r}?"
    return f"choose from: {', '.join(choices)}" if choices else "none is known here"
