"""The small kernel on machines that are odd: a file that the machine's environment names says how."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.paths import SAXPY

# The variable's file holds by how many percent every launch takes longer, or stands for wrong results.
VARIABLE = "EVOTUNE_TEST_ODD"
SLOW, WRONG = "100", "-1"
ASKED = f"""

def _oddness() -> int:
    import os
    from pathlib import Path

    file = Path(os.environ.get("{VARIABLE}", ""))
    return int(file.read_text()) if file.is_file() else 0
"""
LENGTH = "np.int64(_length(workload)))"
# Not a library's clock: a build that uses one is refused.
CLOCK = """static uint64_t ticks() {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    uint64_t now;
    asm volatile("mrs %0, cntvct_el0" : "=r"(now));
    return now;
#endif
}

"""
ODD = """    if (odd < 0) out[0] += 1;
    const uint64_t worked = ticks() - began;
    while (odd > 0 && (ticks() - began) * 100 < worked * (100 + odd)) {}
"""
SUBSTITUTIONS = {
    "kernel.py": {LENGTH: f"{LENGTH[:-1]}, np.int64(_oddness()))"},
    "cpu.cpp": {
        "void*, int64_t length)": "void*, int64_t length, int64_t odd)",
        "    ++calls;\n": "    ++calls;\n    const uint64_t began = ticks();\n",
        "    return 0;\n": ODD + "    return 0;\n",
        'extern "C" int saxpy(': CLOCK + 'extern "C" int saxpy(',
    },
}


def plant(target: Path) -> Path:
    """Make a copy of the kernel that is as odd as its machine says."""
    shutil.copytree(SAXPY, target, ignore=shutil.ignore_patterns("__pycache__"))
    for file, substitutions in SUBSTITUTIONS.items():
        source = (target / file).read_text(encoding="utf-8")
        for honest, odd in substitutions.items():
            assert source.count(honest) == 1, f"{file} must have once, has {source.count(honest)} times: {honest}"
            source = source.replace(honest, odd)
        (target / file).write_text(source + ASKED * (file == "kernel.py"), encoding="utf-8")
    return target
