"""evotune finds the fastest correct configuration of a GPU kernel and keeps the evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

__all__ = ["load"]


def load(folder: str | os.PathLike[str]) -> Callable[..., Any]:
    """Load the function of a package that `evotune export` wrote, such as `attention_fwd`.

    Raises `evotune.errors.UserError` when the folder holds no such package, or its files were changed after the export.
    """
    from pathlib import Path

    from evotune.export.load import load_package

    return load_package(Path(folder))
