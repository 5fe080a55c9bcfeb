"""The part of the verification that is about binaries: which of them this GPU runs, and whether one does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from .cuda_modules import NoBinary, binary_for, read_binary


def builds(folder: Path, manifest: Mapping[str, Any]) -> bool:
    """Whether this machine's GPU runs every kernel; tells which are the very code that was measured."""
    if not torch.cuda.is_available():
        print("device      REFUSED: a GPU must be there and usable by torch, got none")
        return False
    running = [_runs(folder, manifest, name) for name in manifest["kernels"]]
    return all(running)


def _runs(folder: Path, manifest: Mapping[str, Any], name: str) -> bool:
    kernel = manifest["kernels"][name]
    try:
        chosen = binary_for(kernel, torch.cuda.current_device())
        for build in (kernel, *kernel["forms"].values()):
            read_binary(folder, build, chosen)
    except NoBinary as error:
        print(f"device      REFUSED: {error}")
        return False
    except RuntimeError as error:
        print(f"binary      REFUSED: {error}")
        return False
    measured = chosen == manifest["target"]
    what = "the very code that was measured" if measured else f"compiled like what was measured on {manifest['target']}"
    print(f"binary      ok: {kernel['binaries'][chosen]['file']} is {what}")
    for form, build in kernel["forms"].items():
        print(f"binary      ok: {build['binaries'][chosen]['file']}, its {form} form, was not timed")
    return True
