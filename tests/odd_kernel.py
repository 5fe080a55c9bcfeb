"""The small kernel on machines that are odd: a file that the machine's environment names says how."""

from __future__ import annotations

import shutil
from pathlib import Path

SAXPY = Path(__file__).parent / "kernels" / "saxpy"
# What the variable's file may hold: steps of an idle loop in every launch, or a wrong result in every launch.
VARIABLE = "EVOTUNE_TEST_ODD"
SLOW, WRONG = "200000", "-1"
ASKED = f"""

def _oddness() -> int:
    import os
    from pathlib import Path

    file = Path(os.environ.get("{VARIABLE}", ""))
    return int(file.read_text()) if file.is_file() else 0
"""
LENGTH = "np.int64(_length(workload)))"
SUBSTITUTIONS = {
    "kernel.py": {LENGTH: f"{LENGTH[:-1]}, np.int64(_oddness()))"},
    "cpu.cpp": {
        "void*, int64_t length)": "void*, int64_t length, int64_t odd)",
        "    ++calls;\n": "    ++calls;\n    for (volatile int64_t i = 0; i < odd; i = i + 1) {}\n",
        "    return 0;\n": "    if (odd < 0) out[0] += 1;\n    return 0;\n",
    },
}


def plant(target: Path) -> Path:
    """A copy of the kernel that does as its machine says."""
    shutil.copytree(SAXPY, target, ignore=shutil.ignore_patterns("__pycache__"))
    for file, substitutions in SUBSTITUTIONS.items():
        source = (target / file).read_text(encoding="utf-8")
        for honest, odd in substitutions.items():
            assert source.count(honest) == 1, f"{file} must have once, has {source.count(honest)} times: {honest}"
            source = source.replace(honest, odd)
        (target / file).write_text(source + ASKED * (file == "kernel.py"), encoding="utf-8")
    return target
