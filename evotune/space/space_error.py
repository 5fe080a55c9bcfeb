"""What goes wrong with a search space: its file, its constraints, its valid set."""

from __future__ import annotations


class SpaceError(ValueError):
    """A search space that cannot be used; the text says file:line, the rule, the value and what to do."""


class ExpressionError(ValueError):
    """A constraint that the language does not allow, or whose numbers grow beyond what it computes exactly."""
