"""Builds the kernel of this folder, checks it and times it: needs torch and a C++ compiler, and not evotune.

python verify.py [--skip-timing]

Exit code 0: correct, the same in every run, and not more than 10 % slower than claimed. Exit code 1: anything else.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from verify_timing import claim_holds, compare_speed

FOLDER = Path(__file__).resolve().parent
# The limits of the `numerics` gate: factors of the error that the pinned baseline makes on the same inputs.
MAX_FACTOR = 2.0
RMS_FACTOR = 1.25
REPEATS = 100

Inputs = tuple[torch.Tensor, ...]
Workload = Mapping[str, Any]


class Case(Protocol):
    """Inputs for one accuracy check; errors are judged in each of `groups` leading slices of the output."""

    name: str
    workload: Workload
    inputs: Inputs
    groups: int


class Checks(Protocol):
    """What checks.py, which belongs to the kernel, must define. Tensors are made on the CPU."""

    def cases(self, workload: Workload) -> Iterator[Case]:
        """Several seeds of every distribution, ragged sizes, and each flag that the kernel supports."""

    def timed_inputs(self, workload: Workload, seed: int) -> Inputs:
        """Inputs to time at."""

    def run(self, function: Callable[..., torch.Tensor], workload: Workload, inputs: Inputs) -> torch.Tensor:
        """Calls the exported function."""

    def reference(self, workload: Workload, inputs: Inputs) -> torch.Tensor:
        """The exact result in float64."""

    def pinned_baseline(self, workload: Workload, inputs: Inputs) -> torch.Tensor:
        """The fused baseline, in the kernel's dtype, whose error sets the limits."""

    def baselines(self, workload: Workload) -> Mapping[str, Callable[[Inputs], torch.Tensor]]:
        """What the user could run instead, by the names that the manifest uses."""


def main() -> int:
    """Prints what it finds; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--skip-timing", action="store_true", help="check the results only")
    options = parser.parse_args()
    manifest = json.loads((FOLDER / "manifest.json").read_text())
    checks = cast(Checks, importlib.import_module("checks"))
    good = _sources_are_unchanged(manifest) and _builds(manifest)
    if good:
        function = getattr(importlib.import_module(manifest["kernel"]), manifest["kernel"])
        device = torch.device("cpu" if manifest["target"] == "cpu" else "cuda")
        good = _is_accurate(checks, function, manifest["workload"], device)
        good = _repeats(checks, function, manifest["workload"], device) and good
        if good and not options.skip_timing:
            good = _is_as_fast(checks, function, manifest, device)
    print("verified" if good else "NOT verified")
    return 0 if good else 1


def _sources_are_unchanged(manifest: Mapping[str, Any]) -> bool:
    files = manifest["source"]["files"]
    changed = [name for name, digest in files.items() if _sha256((FOLDER / name).read_bytes()) != digest]
    for name in changed:
        print(f"source      FAILED: {name} is not the file that was measured")
    return not changed


def _builds(manifest: Mapping[str, Any]) -> bool:
    ran = subprocess.run(["sh", str(FOLDER / "build.sh")], capture_output=True, text=True)
    if ran.returncode != 0:
        print(f"build       FAILED: build.sh ended with exit code {ran.returncode}\n{ran.stderr.strip()}")
        return False
    binary = Path(ran.stdout.strip()).read_bytes()
    if manifest["build"]["binary_hash"] == _code_hash(binary):
        print("build       ok: the very code that was measured")
    else:
        print(f"build       ok: not bit by bit what was measured, which was made by {manifest['build']['compiler']}")
    return True


def _code_hash(binary: bytes) -> str:
    """SHA-256 of a binary with its record of its own configuration (1024 bytes) blanked, as in the manifest."""
    start = binary.find(b"evotune-configuration:")
    if start >= 0:
        binary = binary[:start] + bytes(1024) + binary[start + 1024 :]
    return _sha256(binary)


def _is_accurate(
    checks: Checks, function: Callable[..., torch.Tensor], workload: Workload, device: torch.device
) -> bool:
    wrong, worst, count = 0, 0.0, 0
    for case in checks.cases(workload):
        inputs = tuple(tensor.to(device) for tensor in case.inputs)
        exact = checks.reference(case.workload, case.inputs)
        ours = _errors(checks.run(function, case.workload, inputs), exact, case.groups)
        baseline = _errors(checks.pinned_baseline(case.workload, inputs), exact, case.groups)
        rounding = _errors(exact.to(case.inputs[0].dtype), exact, case.groups)
        # Rounding the exact result is never held against a kernel, even where the baseline happens to be exact.
        limits = torch.maximum(baseline, rounding) * torch.tensor([MAX_FACTOR, RMS_FACTOR], dtype=torch.float64)
        count += 1
        if not bool((ours <= limits).all()):  # written so that NaN fails
            wrong += 1
            print(f"accuracy    FAILED: {case.name}: max and RMS error {_pair(ours)}, allowed {_pair(limits)}")
        elif float(limits.min()) > 0:
            worst = max(worst, float((ours / limits).max()))
    print(f"accuracy    {count - wrong} of {count} cases within limits; worst error {worst:.0%} of its limit")
    return count > 0 and wrong == 0


def _errors(output: torch.Tensor, exact: torch.Tensor, groups: int) -> torch.Tensor:
    """[groups, 2]: largest and root-mean-square difference from the exact result in every group."""
    difference = (output.cpu().double() - exact).reshape(groups, -1)
    return torch.stack([difference.abs().amax(dim=1), difference.pow(2).mean(dim=1).sqrt()], dim=1)


def _pair(errors: torch.Tensor) -> str:
    largest, rms = errors.amax(dim=0).tolist()
    return f"{largest:.3g}, {rms:.3g}"


def _repeats(checks: Checks, function: Callable[..., torch.Tensor], workload: Workload, device: torch.device) -> bool:
    """Runs alternate between two inputs, so that anything left over from the run before would show."""
    pair = [tuple(tensor.to(device) for tensor in checks.timed_inputs(workload, seed)) for seed in (1, 2)]
    outputs = [checks.run(function, workload, pair[number % 2]) for number in range(REPEATS)]
    different = sum(
        not torch.equal(output.view(torch.uint8), outputs[number % 2].view(torch.uint8))
        for number, output in enumerate(outputs)
    )
    print(f"determinism {'ok' if different == 0 else 'FAILED'}: {different} of {REPEATS} runs gave other bits")
    return different == 0


def _is_as_fast(
    checks: Checks, function: Callable[..., torch.Tensor], manifest: Mapping[str, Any], device: torch.device
) -> bool:
    workload = manifest["workload"]
    sides = {"kernel": lambda inputs: checks.run(function, workload, inputs), **checks.baselines(workload)}
    measured = compare_speed(sides, lambda seed: checks.timed_inputs(workload, seed), manifest["figures"], device)
    return claim_holds(measured, manifest)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
