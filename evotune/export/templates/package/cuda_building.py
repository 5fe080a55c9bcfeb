"""The part of the verification that checks binaries: for a GPU, choose those that it can run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from .cuda_modules import NoBinary, binary_for, read_binary


def builds(folder: Path, manifest: Mapping[str, Any]) -> bool:
    """Print the binary of every kernel that this machine's GPU runs; return False if there is none for one."""
    if not torch.cuda.is_available():
        print("device      REFUSED: this machine must have a GPU that torch can use, got none")
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
    what = "identical to the measured code" if measured else f"of the configuration measured on {manifest['target']}"
    print(f"binary      ok: {kernel['binaries'][chosen]['file']} is {what}")
    for form, build in kernel["forms"].items():
        print(f"binary      ok: {build['binaries'][chosen]['file']}, its {form} form, was not timed")
    return True
