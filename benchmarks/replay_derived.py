"""What the kernels of the recorded spaces could have derived: blocks' threads, work and memory, which nobody recorded.

For the ablation (replay_ablation.py): a recording holds parameters and times alone. The formulas are those of the
kernels' own sources where a constraint or an allocation states them, without constants that scale all alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from evotune.planning.locate import kernel_folder
from evotune.space import ValidSet
from evotune.space.quantity import Quantity
from evotune_workers.kernel import Configuration
from evotune_workers.kernel.folder import load_kernel, named_workload

# The halo of the convolution's 17 x 17 filter.
HALO = 16
RECORDED_ATTENTION = Path(__file__).parent / "data" / "attention_h200_record.yaml"

Derive = Callable[[Mapping[str, Any]], Mapping[str, int]]


def with_quantities(valid: ValidSet) -> ValidSet:
    """The set with what its kernel derives; as it is where no formula is known."""
    names = {parameter.name for parameter in valid.parameters}
    derive = next((each for needed, each in FORMULAS if set(needed) <= names), None)
    if derive is None:
        return valid
    rows = [derive(valid.configuration(i)) for i in range(len(valid))]
    columns = {name: np.array([row[name] for row in rows], dtype=np.float64) for name in rows[0]}
    return replace(valid, quantities=tuple(Quantity.of(name, column) for name, column in columns.items()))


def _convolution(of: Mapping[str, Any]) -> Mapping[str, int]:
    width, height = of["block_size_x"] * of["tile_size_x"], of["block_size_y"] * of["tile_size_y"]
    return {
        "threads": of["block_size_x"] * of["block_size_y"],
        "work": of["tile_size_x"] * of["tile_size_y"],
        "shared": (width + HALO) * (height + HALO) * of.get("use_shmem", 1),
    }


def _dedispersion(of: Mapping[str, Any]) -> Mapping[str, int]:
    return {
        "threads": of["block_size_x"] * of["block_size_y"],
        "work": of["tile_size_x"] * of["tile_size_y"],
        "tile": of["block_size_x"] * of["tile_size_x"] * of["block_size_y"] * of["tile_size_y"],
    }


def _gemm(of: Mapping[str, Any]) -> Mapping[str, int]:
    return {
        "threads": of["MDIMC"] * of["NDIMC"],
        "work": of["MWG"] // of["MDIMC"] * (of["NWG"] // of["NDIMC"]),
        "shared": of["SA"] * of["MWG"] + of["SB"] * of["NWG"],
        "tile": of["MWG"] * of["NWG"],
    }


def _attention(of: Mapping[str, Any]) -> Mapping[str, int]:
    kernel = load_kernel(kernel_folder("attention_fwd"))
    whole: Configuration = {**_fixed_attention(), **of}
    return dict(kernel.variant("sm80").derived(whole, named_workload(kernel, "mission")))


@cache
def _fixed_attention() -> Mapping[str, Any]:
    """The first value of every parameter of the recorded space: recordings leave out what has but one."""
    parameters = yaml.safe_load(RECORDED_ATTENTION.read_text())["parameters"]
    return {name: (of["values"] if isinstance(of, dict) else of)[0] for name, of in parameters.items()}


FORMULAS: tuple[tuple[tuple[str, ...], Derive], ...] = (
    (("tile_stride_x", "block_size_x"), _dedispersion),
    (("use_padding", "block_size_x", "tile_size_x"), _convolution),
    (("MWG", "NWG", "SA"), _gemm),
    (("tile_m", "kv_warps"), _attention),
)
