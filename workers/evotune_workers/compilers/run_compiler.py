"""Running a compiler: a process group of its own, killed whole when it overruns or when this process is killed."""

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

# What a compiler says is searched for words, whatever the user's language.
ENGLISH = {"LC_ALL": "C", "LANGUAGE": ""}


@dataclass(frozen=True)
class CommandResult:
    """How a command ended: `returncode` is None when it was killed for overrunning its time limit."""

    returncode: int | None
    output: str


def run_group(command: Sequence[str], folder: Path, time_limit: float) -> CommandResult:
    """Runs a command in `folder`, its output and errors together; raises ToolchainError when it cannot be started."""
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
