"""Exported CUDA packages on the GPU: SDPA's semantics, tracing and capture, several streams, verification, a model."""

from __future__ import annotations

import contextlib
import itertools
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

import evotune
from evotune_workers.kernel import Configuration
from evotune_workers.kernel.device import Device
from tests.support.attention_sm80 import PLAIN, TUNED
from tests.support.export_record import ABSURD_CLAIM, Measured, measure
from tests.support.gpt import GPT, attention_of

from .conftest import ATTENTION

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(600)]

# Torch's compiler warns of what is not ours: that TF32 is off, which nothing here asks for.
compiles = pytest.mark.filterwarnings("default")

Function = Callable[..., torch.Tensor]
Capture = pytest.CaptureFixture[str]
SPLIT: Configuration = {**PLAIN, "split_kv": 2, "split_merge": "workspace"}
PERSISTENT: Configuration = {**PLAIN, "persistent": True}
# A call may cost the host this much beyond the bare launch.
OVERHEAD_US = 5.0


@pytest.fixture(scope="module", params=[PLAIN, SPLIT, PERSISTENT], ids=["plain", "split", "persistent"])
def attention_fwd(
    request: pytest.FixtureRequest, gpu: Device, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Function]:
    out = measured(gpu, request.param).export(tmp_path_factory.mktemp("out") / "attention")
    torch.cuda.set_stream(torch.cuda.default_stream())
    yield evotune.load(out)


@pytest.fixture(scope="module")
def plain(gpu: Device, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return measured(gpu, PLAIN).export(tmp_path_factory.mktemp("plain") / "attention")


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    "sizes",
    [
        ((1, 8, 512), (1, 8, 512)),
        ((2, 3, 61), (2, 3, 500)),
        ((1, 4, 515), (1, 4, 7)),
        ((1, 1, 1), (1, 1, 1)),
        ((2, 8, 130), (2, 2, 67)),
    ],
)
def test_it_agrees_with_sdpa(attention_fwd: Function, sizes: tuple[tuple[int, int, int], ...], causal: bool) -> None:
    q, k, v = inputs(sizes[0], sizes[1], sizes[1])
    for scale in (None, 0.3, 0.0, -0.2):
        close(attention_fwd(q, k, v, is_causal=causal, scale=scale), exact(q, k, v, causal, scale))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("rows", [50, 512])
def test_views_of_a_joint_projection_are_read_as_they_are(attention_fwd: Function, rows: int, causal: bool) -> None:
    joint = inputs((2, rows, 9))[0].view(2, rows, 3, 3, 64).unbind(2)
    for order in ((0, 1, 2), (2, 1, 0), (0, 1, 1)):
        q, k, v = (joint[place].transpose(1, 2) for place in order)
        with torch.profiler.profile(acc_events=True) as profile:
            out = attention_fwd(q, k, v, is_causal=causal)
        on_device = [event.name for event in profile.events() if str(event.device_type) == "DeviceType.CUDA"]
        assert on_device == ["attention_fwd"]
        assert out.transpose(1, 2).is_contiguous()  # as SDPA leaves it, and models want it
        assert torch.equal(out, attention_fwd(q.contiguous(), k.contiguous(), v.contiguous(), is_causal=causal))
        close(out, exact(q, k, v, causal))


def test_heads_of_keys_are_shared_without_copies(attention_fwd: Function) -> None:
    q, (k, v) = inputs((2, 6, 130))[0], inputs((2, 3, 77), (2, 3, 77))
    repeated = (tensor.repeat_interleave(2, dim=1) for tensor in (k, v))
    expected = attention_fwd(q, *repeated)
    cache = torch.zeros(2, 3, 100, 64, dtype=q.dtype, device=q.device)[:, :, :77]  # longer than what it holds so far
    for keys, values in ((k, v), (heads_inside(k), heads_inside(v)), (cache.copy_(k), heads_inside(v))):
        assert torch.equal(attention_fwd(q, keys, values), expected)


def test_what_lies_as_no_kernel_reads_it_is_copied(attention_fwd: Function) -> None:
    q, k, v = inputs((2, 3, 64), (2, 3, 64), (2, 3, 64))
    expected = attention_fwd(q, k, v)

    def shifted(tensor: torch.Tensor) -> torch.Tensor:
        wider = torch.empty(*tensor.shape[:3], 65, dtype=tensor.dtype, device=tensor.device)
        return wider[..., 1:].copy_(tensor)

    def from_the_second(tensor: torch.Tensor) -> torch.Tensor:
        wider = torch.empty(*tensor.shape[:3], 72, dtype=tensor.dtype, device=tensor.device)
        return wider[..., 1:65].copy_(tensor)

    def features_outside(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.transpose(2, 3).contiguous().transpose(2, 3)

    odd = torch.empty(q.numel() + 1, dtype=q.dtype, device=q.device)[1:].view(q.shape).copy_(q)
    assert odd.is_contiguous() and odd.data_ptr() % 16
    assert torch.equal(attention_fwd(odd, k, v), expected)
    for lay in (shifted, from_the_second, features_outside):
        assert torch.equal(attention_fwd(lay(q), k, v), expected)
        assert torch.equal(attention_fwd(q, k, lay(v)), expected)
        assert torch.equal(attention_fwd(q, lay(k), lay(v)), expected)
    inside = attention_fwd(heads_inside(q), k, features_outside(v))
    assert torch.equal(inside, expected) and inside.transpose(1, 2).is_contiguous()


def test_no_queries_give_an_empty_result_and_tensors_of_the_cpu_are_refused(attention_fwd: Function) -> None:
    q, k, v = inputs((1, 2, 9), (1, 2, 9), (1, 2, 9))
    assert attention_fwd(q[:, :, :0], k, v).shape == (1, 2, 0, 64)
    with pytest.raises(ValueError, match=r"^q must be on cuda, got cpu"):
        attention_fwd(q.cpu(), k, v)
    with pytest.raises(ValueError, match=r"^k must be on cuda, got cpu"):
        attention_fwd(q, k.cpu(), v)


@compiles
def test_it_compiles_without_a_graph_break(attention_fwd: Function) -> None:
    def block(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return attention_fwd(q * 2, k, v, is_causal=True) + 1

    packed = inputs((1, 8, 300), (1, 8, 300), (1, 8, 300))
    for arguments, mode in itertools.product(
        (packed, tuple(map(heads_inside, packed))), ("default", "reduce-overhead")
    ):
        torch.compiler.reset()  # it compiles one function so many times
        compiled = torch.compile(block, fullgraph=True, mode=mode)
        for _ in range(3):
            close(compiled(*arguments).clone(), block(*arguments).double())


@compiles
def test_the_operator_keeps_the_rules_of_operators(attention_fwd: Function) -> None:
    operator = sys.modules[attention_fwd.__module__]._operator
    packed = inputs((1, 2, 40), (1, 2, 40), (1, 2, 40))
    for arguments in (packed, tuple(map(heads_inside, packed))):
        torch.library.opcheck(operator, (*arguments, True, 0.2))


def test_a_captured_call_gives_the_same_bits_at_every_replay(attention_fwd: Function) -> None:
    q, k, v = inputs((1, 8, 512), (1, 8, 512), (1, 8, 512))
    attention_fwd(q, k, v)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = attention_fwd(q, k, v)
    for seed in (1, 2):
        q.copy_(inputs((1, 8, 512), seed=seed)[0])
        graph.replay()
        torch.cuda.synchronize()
        assert torch.equal(out, attention_fwd(q, k, v))


def test_a_first_call_in_a_capture_is_refused_and_works_after_one_on_its_stream(
    attention_fwd: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_modules", "_spares"):
        monkeypatch.setattr(sibling(attention_fwd, "cuda_modules"), name, {})
    sys.modules[attention_fwd.__module__]._plans.clear()
    q, k, v = inputs((1, 8, 512), (1, 8, 512), (1, 8, 512))
    stream, graphs = torch.cuda.Stream(), [torch.cuda.CUDAGraph() for _ in range(2)]
    with pytest.raises(RuntimeError, match="got a first call in a capture"), torch.cuda.graph(graphs[0], stream=stream):
        q.clone()  # torch warns of a graph that has nothing
        attention_fwd(q, k, v)
    with torch.cuda.stream(stream):
        attention_fwd(q, k, v)
    with torch.cuda.graph(graphs[1], stream=stream):
        out = attention_fwd(q, k, v)
    graphs[1].replay()
    torch.cuda.synchronize()
    assert torch.equal(out, attention_fwd(q, k, v))


def test_a_call_of_packed_tensors_is_enough_to_capture_one_of_views(
    attention_fwd: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_modules", "_spares"):
        monkeypatch.setattr(sibling(attention_fwd, "cuda_modules"), name, {})
    function = sys.modules[attention_fwd.__module__]
    function._plans.clear()
    monkeypatch.setattr(function, "_last_call", None)
    packed = inputs((1, 8, 512), (1, 8, 512), (1, 8, 512))
    views = tuple(map(heads_inside, packed))
    expected = attention_fwd(*packed)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = attention_fwd(*views)
    graph.replay()
    torch.cuda.synchronize()
    assert torch.equal(out, expected)


def test_calls_on_two_streams_do_not_disturb_each_other(attention_fwd: Function) -> None:
    pairs = [inputs((1, 8, 512), (1, 8, 512), (1, 8, 512), seed=seed) for seed in (1, 2)]
    expected = [attention_fwd(*each) for each in pairs]
    streams = [torch.cuda.Stream(), torch.cuda.Stream()]
    outputs: list[list[torch.Tensor]] = [[], []]
    torch.cuda.synchronize()
    for _ in range(100):
        for number, stream in enumerate(streams):
            with torch.cuda.stream(stream):
                outputs[number].append(attention_fwd(*pairs[number]))
    torch.cuda.synchronize()
    assert all(torch.equal(out, expected[number]) for number in (0, 1) for out in outputs[number])


def test_threads_that_never_used_the_gpu_call_it_at_once(attention_fwd: Function) -> None:
    many = [inputs((1, 8, 512), (1, 8, 512), (1, 8, 512), seed=seed) for seed in range(8)]
    expected = [attention_fwd(*each) for each in many]

    torch.cuda.synchronize()

    def call(number: int) -> bool:
        with torch.cuda.stream(torch.cuda.Stream()) if number % 2 else contextlib.nullcontext():
            found = [attention_fwd(*many[number]) for _ in range(200)]
            return all(torch.equal(each, expected[number]) for each in found)

    with ThreadPoolExecutor(len(many)) as threads:
        assert all(threads.map(call, range(len(many))))


def test_ptx_gives_the_same_result_as_the_cubin(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attention_fwd = evotune.load(plain)
    modules = sibling(attention_fwd, "cuda_modules")
    q, k, v = inputs((1, 8, 512), (1, 8, 512), (1, 8, 512))
    expected = attention_fwd(q, k, v)
    monkeypatch.setattr(modules, "_modules", {})
    monkeypatch.setattr(modules, "binary_for", lambda build, device: last_binary(build))
    sys.modules[attention_fwd.__module__]._plans.clear()
    close(attention_fwd(q, k, v), expected.double())
    close(attention_fwd(*map(heads_inside, (q, k, v))), expected.double())
    sys.modules[attention_fwd.__module__]._plans.clear()


def test_sdpa_serves_a_gpu_that_there_is_no_binary_for(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attention_fwd = evotune.load(plain)
    q, k, v = inputs((1, 8, 100), (1, 8, 100), (1, 8, 100))
    sys.modules[attention_fwd.__module__]._plans.clear()
    monkeypatch.setattr(sibling(attention_fwd, "launching"), "choose_binary", lambda binaries, capability: None)
    monkeypatch.setattr(sibling(attention_fwd, "launching"), "prepare", None)  # nothing of ours may be called
    close(attention_fwd(q, k, v), exact(q, k, v))
    sys.modules[attention_fwd.__module__]._plans.clear()


def test_verify_passes_and_fails_when_the_claim_is_out_of_reach(plain: Path, gpu: Device, tmp_path: Path) -> None:
    ran = verify(plain)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "accuracy    52 of 52" in ran.stdout and "identical to the measured code" in ran.stdout
    ran = verify(measured(gpu, PLAIN).claiming(ABSURD_CLAIM).export(tmp_path / "absurd"))
    assert ran.returncode == 1
    assert "more than 10 % below the claim" in ran.stdout and ran.stdout.endswith("NOT verified\n")


def test_the_host_spends_no_more_than_5_us_beyond_the_bare_launch(plain: Path) -> None:
    """In a process of its own: where torch's profiler was used, as above, every call of the driver takes longer."""
    command = [sys.executable, "-m", "benchmarks.export_overhead", str(plain)]
    ran = subprocess.run(command, capture_output=True, text=True)
    print(ran.stdout)
    assert ran.returncode == 0, ran.stderr
    beyond = re.findall(r"^beyond .*? +([\d.]+) us", ran.stdout, re.MULTILINE)
    assert len(beyond) == 2 and max(map(float, beyond)) <= OVERHEAD_US, ran.stdout


def test_a_model_written_with_sdpa_gives_the_same_logits(gpu: Device, tmp_path: Path, capsys: Capture) -> None:
    attention_fwd = evotune.load(measured(gpu, TUNED).export(tmp_path / "attention"))
    torch.manual_seed(3)
    model = GPT(layers=12, heads=12, head_dim=64, vocabulary=50304, length=1024).half().cuda().eval()
    tokens = torch.randint(50304, (1, 512), device="cuda")
    with torch.no_grad():
        expected = model(tokens)
        with attention_of(attention_fwd):
            found = model(tokens)
            ours = latency_ms(lambda: model(tokens))
        theirs = latency_ms(lambda: model(tokens))
    torch.testing.assert_close(found.float(), expected.float(), atol=2e-2, rtol=2e-2)
    with capsys.disabled():
        print(
            f"\nGPT of 12 layers, 1 x 512 tokens, CUDA graph: {ours:.3f} ms with the kernel, {theirs:.3f} ms with SDPA"
        )


def measured(gpu: Device, configuration: Configuration) -> Measured:
    return measure(ATTENTION, configuration, gpu.target).against("sdpa_flash")


def inputs(*sizes: tuple[int, int, int], seed: int = 5) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(*size, 64, generator=generator).half().cuda() for size in sizes)


def exact(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, causal: bool = False, scale: float | None = None
) -> torch.Tensor:
    grouped = q.shape[1] != k.shape[1]
    return scaled_dot_product_attention(
        q.double(), k.double(), v.double(), is_causal=causal, scale=scale, enable_gqa=grouped
    )


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found.double(), expected, atol=3e-3, rtol=3e-3)


def sibling(function: Function, name: str) -> Any:
    """Another module of the function's package."""
    return sys.modules[f"{function.__module__.rpartition('.')[0]}.{name}"]


def last_binary(build: dict[str, Any]) -> str:
    """PTX comes last."""
    return str(list(build["binaries"])[-1])


def heads_inside(tensor: torch.Tensor) -> torch.Tensor:
    """Return the same values in a tensor [B, S, H, D]."""
    return tensor.transpose(1, 2).contiguous().transpose(1, 2)


def verify(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(folder / "verify.py")], capture_output=True, text=True, timeout=500)


def latency_ms(call: Callable[[], object], replays: int = 50) -> float:
    """Return the mean time of many replays of a CUDA graph of the call."""
    graph, events = torch.cuda.CUDAGraph(), [torch.cuda.Event(enable_timing=True) for _ in range(2)]
    call()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        call()
    graph.replay()
    events[0].record()
    for _ in range(replays):
        graph.replay()
    events[1].record()
    torch.cuda.synchronize()
    elapsed: float = events[0].elapsed_time(events[1])
    return elapsed / replays
