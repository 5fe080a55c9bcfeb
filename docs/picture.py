"""Draw the output of a command as an SVG: `python docs/picture.py FILE COMMAND...`.

The command runs as in a terminal of 134 columns, so that the picture has what a person sees.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 134


def draw(command: list[str]) -> str:
    """Run a command and return its output as SVG; raise CalledProcessError when it fails."""
    environment = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(COLUMNS)}
    ran = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(Text.from_ansi(ran.stdout.rstrip()))
    return console.export_svg(title=" ".join(command), unique_id="evotune")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(draw(sys.argv[2:]), encoding="utf-8")
