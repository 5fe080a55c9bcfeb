"""The exported function as PyTorch code meets it: SDPA's semantics, tracing, autograd, and a model that calls it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

import evotune
from evotune.cli import run
from evotune.errors import UserError
from evotune.planning.locate import kernel_folder
from evotune_workers.compilers.build import IDENTITY_BYTES, hash_binary
from evotune_workers.kernel.folder import load_kernel, named_workload
from evotune_workers.runtimes.runtime import parse_identity
from tests.support.export_record import CONFIGURATION, measure
from tests.support.gpt import GPT, attention_of

Function = Callable[..., torch.Tensor]
TOLERANCE = 2e-3


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return measure(kernel_folder("attention_fwd"), CONFIGURATION).export(tmp_path_factory.mktemp("out") / "attention")


@pytest.fixture(scope="module")
def attention_fwd(exported: Path) -> Function:
    return evotune.load(exported)


@pytest.mark.parametrize("causal", [False, True])
def test_heads_of_keys_are_repeated_as_sdpa_does(attention_fwd: Function, causal: bool) -> None:
    q, k, v = inputs((2, 8, 33), (2, 2, 50), (2, 2, 50))
    expected = scaled_dot_product_attention(q.float(), k.float(), v.float(), is_causal=causal, enable_gqa=True)
    torch.testing.assert_close(
        attention_fwd(q, k, v, is_causal=causal).float(), expected, atol=TOLERANCE, rtol=TOLERANCE
    )


def test_every_stride_gives_the_same_bits_and_the_result_has_the_order_of_q(attention_fwd: Function) -> None:
    q, k, v = (tensor.transpose(1, 2) for tensor in inputs((2, 20, 3), (2, 20, 3), (2, 20, 3)))
    packed = attention_fwd(q.contiguous(), k.contiguous(), v.contiguous())
    assert packed.is_contiguous()
    for scale in (None, -0.125):
        inside = attention_fwd(q, k, v) if scale is None else attention_fwd(-q, k, v, scale=scale)
        assert torch.equal(inside, packed) and inside.transpose(1, 2).is_contiguous()
    assert torch.equal(attention_fwd(q.contiguous(), k, v), packed)
    joint = torch.stack([tensor.transpose(1, 2) for tensor in (q, k, v)], dim=2).unbind(2)
    assert torch.equal(attention_fwd(*(tensor.transpose(1, 2) for tensor in joint)), packed)


def test_it_compiles_without_a_graph_break_and_for_sizes_that_change(attention_fwd: Function) -> None:
    def block(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return attention_fwd(q * 2, k, v, is_causal=True) + 1

    compiled = torch.compile(block, fullgraph=True, backend="aot_eager", dynamic=True)
    for size in (16, 24):
        arguments = inputs((1, 2, size), (1, 2, size), (1, 2, size))
        torch.testing.assert_close(compiled(*arguments), block(*arguments))


def test_gradients_flow_through_sdpa_when_compiled_too(attention_fwd: Function) -> None:
    compiled = torch.compile(lambda *each: attention_fwd(*each, on_grad="sdpa"), fullgraph=True, backend="aot_eager")
    q, k, v = inputs((1, 2, 16), (1, 2, 16), (1, 2, 16))
    q.requires_grad_()
    compiled(q, k, v).sum().backward()
    assert q.grad is not None
    with pytest.raises(Exception, match="attention_fwd has no backward"):
        torch.compile(attention_fwd, fullgraph=True, backend="aot_eager")(q, k, v)


def test_the_operator_keeps_the_rules_of_operators(attention_fwd: Function) -> None:
    operator = module_of(attention_fwd)._operator
    strided = tuple(tensor.transpose(1, 2) for tensor in inputs((1, 9, 2), (1, 9, 2), (1, 9, 2)))
    for arguments in (inputs((1, 2, 9), (1, 2, 9), (1, 2, 9)), strided):
        torch.library.opcheck(operator, (*arguments, True, 0.2))


def test_tensors_that_require_grad_are_refused_or_given_to_sdpa_as_the_caller_chooses(attention_fwd: Function) -> None:
    q, k, v = inputs((1, 2, 9), (1, 2, 9), (1, 2, 9))
    q.requires_grad_()
    with pytest.raises(ValueError, match=r"no backward, got a tensor that requires grad; .* on_grad='sdpa'"):
        attention_fwd(q, k, v)
    with pytest.raises(ValueError, match=r"^on_grad must be 'error' or 'sdpa', got 'numeric'$"):
        attention_fwd(q, k, v, on_grad="numeric")
    attention_fwd(q, k, v, on_grad="sdpa").sum().backward()
    assert q.grad is not None
    with torch.no_grad():
        assert not attention_fwd(q, k, v).requires_grad


def test_a_parameter_is_a_tensor_too(attention_fwd: Function) -> None:
    q, k, v = inputs((1, 2, 9), (1, 2, 9), (1, 2, 9))
    with torch.no_grad():
        assert torch.equal(attention_fwd(torch.nn.Parameter(q), k, v), attention_fwd(q, k, v))


def test_a_model_written_with_sdpa_gives_the_same_logits(attention_fwd: Function) -> None:
    torch.manual_seed(3)
    model = GPT(layers=2, heads=2, head_dim=64, vocabulary=50, length=40).half().eval()
    tokens = torch.randint(50, (2, 33))
    calls = []

    def counted(*arguments: Any, **options: Any) -> torch.Tensor:
        calls.append(1)
        return attention_fwd(*arguments, **options)

    with torch.no_grad():
        expected = model(tokens)
        with attention_of(counted):
            found = model(tokens)
    assert len(calls) == 2
    torch.testing.assert_close(found.float(), expected.float(), atol=1e-2, rtol=1e-2)


def test_two_packages_live_in_one_process(attention_fwd: Function, exported: Path, tmp_path: Path) -> None:
    other = measure(kernel_folder("attention_fwd"), {**CONFIGURATION, "tile_m": 24}).export(tmp_path / "other")
    second = evotune.load(other)
    assert second is not attention_fwd and evotune.load(exported) is attention_fwd
    arguments = inputs((1, 2, 9), (1, 2, 9), (1, 2, 9))
    torch.testing.assert_close(second(*arguments), attention_fwd(*arguments), atol=TOLERANCE, rtol=TOLERANCE)


def test_a_package_that_was_edited_is_not_loaded_and_not_verified(
    exported: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    edited = shutil.copytree(exported, tmp_path / "edited")
    with (edited / "attention_fwd" / "dispatch.py").open("a") as file:
        file.write("# mine\n")
    with pytest.raises(UserError, match=r"dispatch.py is not the file that was exported; export it again$"):
        evotune.load(edited)
    assert run(["verify", str(edited)]) == 1
    assert "integrity   REFUSED: dispatch.py is not the file that was exported\nNOT verified" in capfd.readouterr().out


def test_the_package_checks_by_distributions_and_a_reference_like_those_of_the_gates(attention_fwd: Function) -> None:
    """It works without evotune, so it has them written again; draws of its own find what the gates' did not."""
    checks, kernel = sibling(attention_fwd, "checks"), load_kernel(kernel_folder("attention_fwd"))
    assert kernel.distributions == checks.DISTRIBUTIONS
    sizes: dict[str, Any] = {"batch": 2, "heads": 3, "queries": 70, "keys": 50}
    for name in ("mission", "causal", "mission_fp32"):
        workload = replace(named_workload(kernel, name), **sizes)
        for distribution in kernel.distributions:
            inputs = kernel.inputs(workload, distribution, seed=7)
            written_again = checks._inputs(asdict(workload), distribution, 7)
            for one, other in zip(inputs, written_again, strict=True):
                assert (one.shape, one.dtype) == (other.shape, other.dtype) and not torch.equal(one, other)
                scale = float(one.float().std())
                assert float(other.float().std()) == pytest.approx(scale, rel=0.05)
                assert float(other.float().mean()) == pytest.approx(float(one.float().mean()), abs=0.05 * scale)
            torch.testing.assert_close(
                checks.reference(asdict(workload), inputs), kernel.reference(workload, inputs), atol=1e-12, rtol=1e-12
            )


def test_the_package_reads_binaries_as_the_gates_do(attention_fwd: Function) -> None:
    integrity = sibling(attention_fwd, "integrity")
    record = b"evotune-configuration:TILE_M=16;LAYOUT=row;".ljust(IDENTITY_BYTES, b"\0")
    for binary in (b"\x7fELF" + record + b"code", b"no record at all"):
        assert integrity.code_hash(binary) == hash_binary(binary)
    assert integrity.recorded_macros(b"\x7fELF" + record) == parse_identity(record)


def test_a_folder_that_is_no_package_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", str(tmp_path)]) == 2
    assert "must be an exported package" in capsys.readouterr().err


def test_evotune_verify_does_what_the_packages_check_does(exported: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", str(exported), "--skip-timing"]) == 0
    told = capfd.readouterr().out
    assert "accuracy    52 of 52 cases within limits" in told and told.endswith("verified\n")


def inputs(*sizes: tuple[int, int, int]) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(5)
    return tuple(torch.randn(*size, 64, generator=generator).half() for size in sizes)


def module_of(function: Function) -> Any:
    return sys.modules[function.__module__]


def sibling(function: Function, name: str) -> Any:
    """Another module of the function's package."""
    return import_module(f"{function.__module__.rpartition('.')[0]}.{name}")
