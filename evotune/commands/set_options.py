"""Which settings a command line names."""

from __future__ import annotations

from collections.abc import Sequence

import typer


def given(context: typer.Context, names: Sequence[str]) -> str:
    """Those of the parameters that the user gave, as the help has them; empty for none."""
    sources = {name: context.get_parameter_source(name) for name in names}
    given = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    return ", ".join("KERNEL" if name == "kernel" else f"--{name.replace('_', '-')}" for name in given)
