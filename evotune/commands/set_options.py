"""The options that a command line names, as opposed to defaults and environment variables."""

from __future__ import annotations

from collections.abc import Sequence

import typer


def named_options(context: typer.Context, names: Sequence[str]) -> str:
    """Return those of the parameters that the command line names, spelt as in its help; empty for none."""
    sources = {name: context.get_parameter_source(name) for name in names}
    named = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    return ", ".join("KERNEL" if name == "kernel" else f"--{name.replace('_', '-')}" for name in named)
