"""Run Python as `python` does, forked from a process that has imported torch and, unless told, nothing of evotune.

The new process runs this module, whose arguments are those of `python`: `-c CODE`, or a file and its arguments.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from tests.support.forked.process import start
from tests.support.paths import IMPORT_PATH

LIMIT_SECONDS = 120.0
TORCH = ("torch",)


def python(
    *arguments: str, folder: Path, variables: Mapping[str, str] | None = None, imported: tuple[str, ...] = TORCH
) -> subprocess.CompletedProcess[str]:
    """Run in this folder with these variables beside this process's, and return when it has ended."""
    own = {**os.environ, **(variables or {})}
    with start(__name__, *arguments, folder=folder, variables=own, imported=imported) as process:
        out, err = process.communicate(timeout=LIMIT_SECONDS)
    return subprocess.CompletedProcess(arguments, process.wait(), out, err)


def become(arguments: list[str]) -> None:
    """Import from where Python would, instead of from this checkout, and run the code or the file."""
    checkout = IMPORT_PATH.split(os.pathsep)
    variable = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    rest = [*variable, *(path for path in sys.path if path not in checkout)]
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]
    if arguments[0] == "-c":
        sys.argv, sys.path[:] = ["-c", *arguments[2:]], ["", *rest]
        sys.modules["__main__"] = module = ModuleType("__main__")
        exec(compile(arguments[1], "<string>", "exec"), module.__dict__)
    else:
        sys.argv, sys.path[:] = arguments, [str(Path(arguments[0]).parent), *rest]
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    become(sys.argv[1:])
