"""Errors of a search space: of its file, its constraints and its valid set."""

from __future__ import annotations


class SpaceError(ValueError):
    """The search space cannot be used; the message says file:line, the rule, the value received and what to do."""


class ExpressionError(ValueError):
    """The constraint is outside the language, or a number in it is too large to compute exactly."""
