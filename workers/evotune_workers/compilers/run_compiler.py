"""Running a compiler in a process group of its own, which is killed on a time-out and when this process ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evotune_workers.compilers.build import ToolchainError
from evotune_workers.system.lifeline import bound_process_group

# The output is searched for English words, whatever the user's language.
ENGLISH = {"LC_ALL": "C", "LANGUAGE": ""}


@dataclass(frozen=True)
class CommandResult:
    """Result of a command: `returncode` is None when it was killed for exceeding its time limit."""

    returncode: int | None
    output: str


def run_group(command: Sequence[str], folder: Path, time_limit: float) -> CommandResult:
    """Run a command in `folder`, with standard error joined to its output; raise ToolchainError if it cannot start."""
    with bound_process_group() as group:
        process = _start(command, folder, group)
        try:
            output, _ = process.communicate(timeout=time_limit)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
            output, _ = process.communicate()
            return CommandResult(None, output)
        return CommandResult(process.returncode, output)


def _start(command: Sequence[str], folder: Path, group: int) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, **ENGLISH},
            process_group=group,
        )
    except OSError as error:
        raise ToolchainError(f"a compiler must be runnable, got {command[0]}: {error.strerror}") from error
