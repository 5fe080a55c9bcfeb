"""The check of a package's files. It is part of every package, and evotune uses the same code."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # pyproject.toml gives mypy the templates' folder under this name
    from package.integrity import FORMAT, complaints, seal
else:
    from .templates.package.integrity import FORMAT, complaints, seal

__all__ = ["FORMAT", "complaints", "seal"]
