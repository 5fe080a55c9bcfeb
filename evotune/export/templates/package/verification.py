"""Check the kernels of this package and time them against torch's own; needs torch, but not evotune.

Exit code 0: the package is unchanged since its export, its results are correct and bitwise equal in every run, and no
speed-up is more than 10 % below the claimed one. Exit code 1: a check failed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch

from .integrity import complaints
from .verify_timing import claim_holds, compare_speed

if TYPE_CHECKING:
    from .cpu_building import builds
else:
    from .building import builds  # cpu_building.py or cuda_building.py

FOLDER = Path(__file__).resolve().parent
REPEATS = 100

Inputs = tuple[torch.Tensor, ...]
Workload = Mapping[str, Any]
Function = Callable[..., torch.Tensor]


class Case(Protocol):
    """The inputs of one accuracy check; errors are compared with limits in each of `groups` slices of the output."""

    name: str
    workload: Workload
    inputs: Inputs
    groups: int


class Checks(Protocol):
    """The functions that the kernel's checks.py must define; inputs are on the CPU, the rest runs on any device."""

    def cases(self, workload: Workload) -> Iterator[Case]:
        """Yield cases for several seeds of every distribution, for ragged sizes and for each flag of the kernel."""

    def timed_inputs(self, workload: Workload, seed: int) -> Inputs:
        """Return the inputs of a timing."""

    def run(self, function: Function, workload: Workload, inputs: Inputs) -> torch.Tensor:
        """Call the exported function."""

    def reference(self, workload: Workload, inputs: Inputs) -> torch.Tensor:
        """Compute the exact result in float64."""

    def pinned_baseline(self, workload: Workload, inputs: Inputs) -> torch.Tensor:
        """Compute the result of the fused baseline in the kernel's dtype; its errors determine the limits."""

    def baselines(self, workload: Workload, device: str) -> Mapping[str, Callable[[Inputs], torch.Tensor]]:
        """Return the baselines that can run this workload, by the names that the manifest uses."""


def main() -> int:
    """Run all checks, print their results and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--skip-timing", action="store_true", help="check the results only")
    options = parser.parse_args()
    good = _is_unchanged()
    if good:
        manifest = json.loads((FOLDER / "manifest.json").read_text())
        good = builds(FOLDER, manifest) and _is_right(manifest)
        if good and not options.skip_timing:
            good = _is_as_fast(manifest)
    print("verified" if good else "NOT verified")
    return 0 if good else 1


def _is_unchanged() -> bool:
    found = list(complaints(FOLDER))
    for complaint in found:
        print(f"integrity   REFUSED: {complaint}")
    return not found


def _is_right(manifest: Mapping[str, Any]) -> bool:
    """Check every kernel, at the first workload that it serves, on all shapes of its cases."""
    checks = cast(Checks, import_module(".checks", __package__))
    numerics, right = manifest["numerics"], []
    # The limits of the `numerics` gate, as multiples of the pinned baseline's errors on the same inputs.
    factors = torch.tensor([numerics["max_factor"], numerics["rms_factor"]], dtype=torch.float64)
    for kernel in manifest["kernels"]:
        workload = next(row["workload"] for row in manifest["workloads"] if row["kernel"] == kernel)
        function = _function(kernel)
        print(f"kernel {kernel} ({workload['name']})")
        right.append(_is_accurate(checks, function, workload, factors, _device(manifest)))
        right.append(_repeats(checks, function, workload, _device(manifest)))
    return all(right)


def _is_as_fast(manifest: Mapping[str, Any]) -> bool:
    """Time every workload that a kernel serves."""
    checks = cast(Checks, import_module(".checks", __package__))
    served = [row for row in manifest["workloads"] if row["kernel"] is not None]
    kept = [_keeps_its_claim(checks, row, manifest) for row in served]
    return all(kept)


def _keeps_its_claim(checks: Checks, row: Mapping[str, Any], manifest: Mapping[str, Any]) -> bool:
    device, workload, function = _device(manifest), row["workload"], _function(row["kernel"])
    sides = {"kernel": lambda inputs: checks.run(function, workload, inputs)}
    sides |= checks.baselines(workload, device.type)
    measured = compare_speed(sides, lambda seed: checks.timed_inputs(workload, seed), row["figures"], device)
    return claim_holds(measured, row, manifest["device"]["name"])


def _function(kernel: str) -> Function:
    made: Function = import_module(".function", __package__).kernel_function(kernel)
    return made


def _device(manifest: Mapping[str, Any]) -> torch.device:
    return torch.device("cpu" if manifest["target"] == "cpu" else "cuda")


def _is_accurate(
    checks: Checks, function: Function, workload: Workload, factors: torch.Tensor, device: torch.device
) -> bool:
    wrong, worst, count = 0, 0.0, 0
    for case in checks.cases(workload):
        inputs = tuple(tensor.to(device) for tensor in case.inputs)
        exact = checks.reference(case.workload, inputs)
        ours = _errors(checks.run(function, case.workload, inputs), exact, case.groups)
        baseline = _errors(checks.pinned_baseline(case.workload, inputs), exact, case.groups)
        rounding = _errors(exact.to(case.inputs[0].dtype), exact, case.groups)
        # Allow at least the error of rounding the exact result, even if the baseline happens to be exact.
        limits = torch.maximum(baseline, rounding) * factors
        count += 1
        if not bool((ours <= limits).all()):  # written so that NaN fails
            wrong += 1
            print(f"accuracy    FAILED: {case.name}: max and RMS error {_pair(ours)}, allowed {_pair(limits)}")
        elif float(limits.min()) > 0:
            worst = max(worst, float((ours / limits).max()))
    print(f"accuracy    {count - wrong} of {count} cases within limits; worst error {worst:.0%} of its limit")
    return count > 0 and wrong == 0


def _errors(output: torch.Tensor, exact: torch.Tensor, groups: int) -> torch.Tensor:
    """Return the maximum and the RMS error in every group, shape (groups, 2), on the CPU."""
    difference = (output.double() - exact).reshape(groups, -1)
    return torch.stack([difference.abs().amax(dim=1), difference.pow(2).mean(dim=1).sqrt()], dim=1).cpu()


def _pair(errors: torch.Tensor) -> str:
    largest, rms = errors.amax(dim=0).tolist()
    return f"{largest:.3g}, {rms:.3g}"


def _repeats(checks: Checks, function: Function, workload: Workload, device: torch.device) -> bool:
    """Check that all runs are bitwise equal; they alternate between two inputs, to reveal state of the run before."""
    pair = [tuple(tensor.to(device) for tensor in checks.timed_inputs(workload, seed)) for seed in (1, 2)]
    first = [checks.run(function, workload, inputs) for inputs in pair]
    different = sum(
        not torch.equal(
            checks.run(function, workload, pair[number % 2]).view(torch.uint8), first[number % 2].view(torch.uint8)
        )
        for number in range(REPEATS)
    )
    print(f"determinism {'ok' if different == 0 else 'FAILED'}: {different} of {REPEATS} runs gave other bits")
    return different == 0


if __name__ == "__main__":
    raise SystemExit(main())
