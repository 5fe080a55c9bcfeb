"""Every command has help, an example that parses, and a place in the documentation, whose own commands parse."""

from __future__ import annotations

import re
import shlex

import pytest
import typer

from evotune.cli import app
from tests.support.markdown import documentation, inline_code
from tests.support.paths import ROOT

COMMANDS = {
    command.name or command.callback.__name__: command
    for group in app.registered_groups
    if group.typer_instance
    for command in group.typer_instance.registered_commands
    if command.callback
}
# A word that stands for a name, a number or a file.
PLACEHOLDER = re.compile(r"\b[A-Z]{1,6}\b")


def group() -> typer.core.TyperGroup:
    found = typer.main.get_command(app)
    assert isinstance(found, typer.core.TyperGroup)
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_an_example_of_itself(name: str) -> None:
    command = COMMANDS[name]
    assert command.callback is not None and command.callback.__doc__
    assert command.epilog is not None and command.epilog.startswith(f"Example: evotune {name}")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_of_every_command_parses(name: str) -> None:
    words = shlex.split(str(COMMANDS[name].epilog))[3:]
    group().commands[name].make_context(name, words)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_every_command_has_help(name: str) -> None:
    for parameter in group().commands[name].params:
        assert getattr(parameter, "help", None), f"{name}: {parameter.name}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_documentation(name: str) -> None:
    assert any(f"evotune {name}" in (ROOT / page).read_text(encoding="utf-8") for page in documentation())


@pytest.mark.parametrize("page", documentation())
def test_every_command_in_running_text_parses(page: str) -> None:
    for code in inline_code(page):
        command = code.partition(" && ")[0]
        if command.startswith("evotune ") and command.split()[1] in COMMANDS:
            name, *words = shlex.split(PLACEHOLDER.sub("1", command))[1:]
            told = complaint(name, words)
            assert told is None, f"{page}: {command}: {told}"


def complaint(name: str, words: list[str]) -> str | None:
    """Return the complaint of the command line, if any; a sentence may leave out what a command requires."""
    try:
        group().commands[name].make_context(name, words)
    except typer.TyperException as error:
        text = str(error.format_message())
        return None if text.startswith("Missing ") else text
    return None
