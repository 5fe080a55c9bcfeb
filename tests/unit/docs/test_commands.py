"""Every command has help, an example that parses, and a mention in the README."""

from __future__ import annotations

import shlex

import pytest
import typer

from evotune.cli import app
from tests.support.paths import ROOT

COMMANDS = {
    command.name or command.callback.__name__: command
    for group in app.registered_groups
    if group.typer_instance
    for command in group.typer_instance.registered_commands
    if command.callback
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_an_example_of_itself(name: str) -> None:
    command = COMMANDS[name]
    assert command.callback is not None and command.callback.__doc__
    assert command.epilog is not None and command.epilog.startswith(f"Example: evotune {name}")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_of_every_command_parses(name: str) -> None:
    words = shlex.split(str(COMMANDS[name].epilog))[3:]
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    group.commands[name].make_context(name, words)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_every_command_has_help(name: str) -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    for parameter in group.commands[name].params:
        assert getattr(parameter, "help", None), f"{name}: {parameter.name}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_mentioned_in_the_readme(name: str) -> None:
    assert f"evotune {name}" in (ROOT / "README.md").read_text(encoding="utf-8")
