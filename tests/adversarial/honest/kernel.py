"""The attention kernel with a workload small enough to run every gate a hundred times.

It has no sources. Tests use builds of the real kernel, which has the same head size and dtype.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from evotune_workers.kernel.folder import load_kernel

if TYPE_CHECKING:
    from kernels.attention_fwd.kernel import AttentionForward
    from kernels.attention_fwd.workload import MISSION
else:
    AttentionForward = type(load_kernel(Path(__file__).parents[3] / "kernels" / "attention_fwd"))
    MISSION = vars(sys.modules[AttentionForward.__module__])["MISSION"]


class SmallAttention(AttentionForward):
    """Attention with a few heads of a hundred queries."""

    name = "small_attention"
    workloads = (replace(MISSION, name="small", heads=3, queries=100, keys=100),)
