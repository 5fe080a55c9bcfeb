"""Attention forward with the signature of torch's scaled_dot_product_attention, computed by this package's kernels."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch.nn.functional import scaled_dot_product_attention

if TYPE_CHECKING:  # a package's launching.py is cpu.py or sm80.py of the kernel's folder
    from . import cpu as launching
else:
    from . import launching
from .call import Call, is_bshd, make_call, new_output, reorder_output
from .dispatch import choose, supported

FOLDER = Path(__file__).resolve().parent
MANIFEST = json.loads((FOLDER / "manifest.json").read_text())
DEVICE_TYPE = "cpu" if MANIFEST["target"] == "cpu" else "cuda"
# Plans are small. A process with more shapes than this clears them all.
MAX_PLANS = 4096
# Replaces a scale of 0, which the kernels do not support: the smallest normal number. Its product with a score is
# almost 0, and with -infinity it is -infinity, where 0 would give NaN.
NEARLY_ZERO = 2.0**-126

Run = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
_plans: dict[tuple[object, ...], Run] = {}
# Looked up once: looked up by name at each call, they take three times as long.
_is_compiling, _dispatch_stack = torch.compiler.is_compiling, torch._C._len_torch_dispatch_stack


def _tensor_guards() -> Any:
    """Return the class that torch.compile checks tensors with, or None if this torch has another one.

    A comparison by public attributes takes 3.4 us where this check takes 1.1 us (H200's host, 2026-11-30). Without it
    every call takes the slower path through the dictionary of plans.
    """
    try:
        guards = torch._C._dynamo.guards.TensorGuards
        guards(torch.empty(0), torch.empty(0), dynamic_dims_sizes=None, dynamic_dims_strides=None)  # type: ignore[misc, arg-type]  # the stub is another signature's
    except (AttributeError, TypeError):
        return None
    return guards


_TensorGuards = _tensor_guards()
_last_call: LastCall | None = None


@dataclass(frozen=True)
class LastCall:
    """The last call and the plan that served it; a repetition costs 0.4 us on the host instead of 2.

    `same(q, k, v)` returns True for tensors like those of the last call. It compares class, dtype, device, sizes,
    strides, requires_grad and torch's dispatch keys.
    """

    is_causal: bool
    scale: float | None
    same: Callable[..., bool]
    run: Run


def attention_fwd(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    is_causal: bool = False,
    scale: float | None = None,
    *,
    on_grad: Literal["error", "sdpa"] = "error",
) -> torch.Tensor:
    """Compute `softmax(scale * q @ k^T) @ v` in a new tensor of q's shape; `scale` defaults to 1/sqrt(D).

    q is [B, H, S_q, D]; k and v are [B, H_kv, S_kv, D]. H must be a multiple of H_kv; heads are then shared as in SDPA
    with enable_gqa. Strides, S_q, S_kv and any finite scale are free. The result is dense: in BSHD order where q has
    that order, contiguous otherwise. With `is_causal`, query i sees keys 0 to i, as in SDPA.

    dispatch.py chooses a kernel or SDPA for each shape. SDPA also serves a GPU that the package has no binary for.
    There is no backward: inputs that require grad are refused, or passed to SDPA with `on_grad="sdpa"`. The function
    works in torch.compile(fullgraph=True), in several threads and on several streams. It works in CUDA graphs after one
    call of the same shapes on the captured stream.

    Raises TypeError or ValueError for unsupported tensors. Raises RuntimeError if a kernel cannot be loaded or built,
    or would have to be loaded while a stream is captured.
    """
    if _is_compiling() or _dispatch_stack():
        # Only a call that is being traced goes through the operator, which costs the host 10 us.
        return _through_operator(q, k, v, is_causal, scale, on_grad)
    last = _last_call
    if last is not None and last.is_causal == is_causal and last.scale == scale and last.same(q, k, v):
        return last.run(q, k, v)
    if not (type(q) is type(k) is type(v) is torch.Tensor):
        return _through_operator(q, k, v, is_causal, scale, on_grad)
    if q.requires_grad or k.requires_grad or v.requires_grad:
        if torch.is_grad_enabled():
            return _with_grad(q, k, v, is_causal, scale, on_grad)
        return _forward(q, k, v, is_causal, scale)
    run = _cached_plan(q, k, v, is_causal, scale)
    _remember_call(q, k, v, is_causal, scale, run)
    return run(q, k, v)


def kernel_function(kernel: str) -> Callable[..., torch.Tensor]:
    """Return the function computed by one kernel of the manifest, without dispatch.py; the verification calls it."""

    def run(
        q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, is_causal: bool = False, scale: float | None = None
    ) -> torch.Tensor:
        return _plan(q, k, v, is_causal, scale, kernel)(q, k, v)

    return run


def _forward(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, is_causal: bool = False, scale: float | None = None
) -> torch.Tensor:
    return _cached_plan(q, k, v, is_causal, scale)(q, k, v)


def _cached_plan(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, is_causal: bool, scale: float | None) -> Run:
    """Return the plan for these arguments. Making one checks them, so that later calls like it need no check."""
    shapes, strides = (q.shape, k.shape, v.shape), (q.stride(), k.stride(), v.stride())
    key = (shapes, strides, q.dtype, k.dtype, v.dtype, q.device, k.device, v.device, is_causal, scale)
    run = _plans.get(key)
    if run is None:
        run = _plan(q, k, v, is_causal, scale)
        if len(_plans) >= MAX_PLANS:
            _plans.clear()
        _plans[key] = run
    return run


def _remember_call(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, is_causal: bool, scale: float | None, run: Run
) -> None:
    global _last_call
    # A guard rejects every call that passes one tensor twice.
    if _TensorGuards is not None and k is not v and q is not k and q is not v:
        guards = _TensorGuards(q, k, v, dynamic_dims_sizes=None, dynamic_dims_strides=None)
        _last_call = LastCall(is_causal, scale, guards.check, run)


def _plan(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, is_causal: bool, scale: float | None, kernel: str | None = None
) -> Run:
    """Return the function for such calls: by `kernel`, or by the choice of dispatch.py."""
    _check(q, k, v, scale)
    bshd = is_bshd(q)
    if q.numel() == 0:
        return lambda q, k, v: new_output(q)
    if scale is not None and scale <= 0:
        positive_q, positive_scale = _positive_scale(q, scale)
        run = _plan(positive_q, k, v, is_causal, positive_scale, kernel)
        return lambda q, k, v: reorder_output(run(_positive_scale(q, scale)[0], k, v), bshd)
    call = _call(q, k, v, is_causal, scale)
    if kernel is None:
        kernel = choose(_name(q.dtype), call.head_dim, call.batch_heads, call.queries, call.keys, call.causal).kernel
        if kernel is None or not launching.can_run(MANIFEST, kernel, call):
            return lambda q, k, v: reorder_output(_sdpa(q, k, v, is_causal, scale), bshd)
    return launching.prepare(FOLDER, MANIFEST, kernel, call)


def _positive_scale(q: torch.Tensor, scale: float | None) -> tuple[torch.Tensor, float | None]:
    """Return queries and a scale > 0 with the same scores: the kernels and SDPA on GPUs support no others."""
    if scale is None or scale > 0:
        return q, scale
    return (-q, -scale) if scale < 0 else (q, NEARLY_ZERO)


def _call(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, is_causal: bool, scale: float | None) -> Call:
    factor = 1.0 / math.sqrt(q.shape[3]) if scale is None else float(scale)
    return make_call(q, k, v, factor, bool(is_causal))


def _sdpa(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, is_causal: bool, scale: float | None) -> torch.Tensor:
    q, scale = _positive_scale(q, scale)
    return scaled_dot_product_attention(q, k, v, is_causal=is_causal, scale=scale, enable_gqa=q.shape[1] != k.shape[1])


def _through_operator(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, is_causal: bool, scale: float | None, on_grad: str
) -> torch.Tensor:
    _check(q, k, v, scale)
    if (q.requires_grad or k.requires_grad or v.requires_grad) and torch.is_grad_enabled():
        return _with_grad(q, k, v, is_causal, scale, on_grad)
    out: torch.Tensor = _operator(q, k, v, is_causal, scale)
    return out


def _with_grad(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, is_causal: bool, scale: float | None, on_grad: str
) -> torch.Tensor:
    if on_grad == "sdpa":
        return _sdpa(q, k, v, is_causal, scale)
    if on_grad != "error":
        raise ValueError(f"on_grad must be 'error' or 'sdpa', got {on_grad!r}")
    raise ValueError(
        "attention_fwd has no backward, got a tensor that requires grad; call it in torch.no_grad(), or with"
        " on_grad='sdpa'"
    )


def _check(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float | None) -> None:
    for name, tensor in (("q", q), ("k", k), ("v", v)):
        if not isinstance(tensor, torch.Tensor):
            raise TypeError(f"{name} must be a torch.Tensor, got {type(tensor).__name__}")
        if tensor.dtype != q.dtype or _name(tensor.dtype) not in {dtype for dtype, _ in supported()}:
            built = " or ".join(sorted({dtype for dtype, _ in supported()}))
            raise TypeError(f"{name} must be {built}, and all of them the same, got {tensor.dtype}")
        if tensor.device.type != DEVICE_TYPE:
            raise ValueError(f"{name} must be on {DEVICE_TYPE}, got {tensor.device}; this package was built for that")
        if tensor.device != q.device:
            raise ValueError(f"{name} must be on the device of q, {q.device}, got {tensor.device}")
        sizes = [size for dtype, size in supported() if dtype == _name(tensor.dtype)]
        if tensor.dim() != 4 or tensor.shape[3] not in sizes:
            known = " or ".join(map(str, sizes))
            raise ValueError(f"{name} must be [B, H, S, D] with D {known}, got {list(tensor.shape)}")
    _check_sizes(q, k, v)
    if scale is not None and not math.isfinite(scale):
        raise ValueError(f"scale must be finite, got {scale}; None stands for 1/sqrt(D)")


def _check_sizes(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> None:
    shapes = f"q {list(q.shape)}, k {list(k.shape)}, v {list(v.shape)}"
    if k.shape != v.shape or k.shape[0] != q.shape[0] or k.shape[3] != q.shape[3]:
        raise ValueError(f"q, k and v must have equal B and D, and k and v equal H and S, got {shapes}")
    if k.shape[1] == 0 or q.shape[1] % k.shape[1] != 0:
        raise ValueError(f"q must have a multiple of the heads of k and v, got {shapes}")
    if k.shape[2] == 0:
        raise ValueError(f"k and v must have at least one key, got {shapes}")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


# The seal in the name gives two packages, or two versions of one, operators of their own in one process.
_operator = torch.library.custom_op(
    f"attention_fwd_{MANIFEST['seal'][:12]}::forward",
    _forward,
    mutates_args=(),
    schema="(Tensor q, Tensor k, Tensor v, bool is_causal=False, float? scale=None) -> Tensor",
)


@_operator.register_fake
def _(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, is_causal: bool = False, scale: float | None = None
) -> torch.Tensor:
    return new_output(q)
