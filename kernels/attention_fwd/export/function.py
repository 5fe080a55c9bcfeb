"""Attention forward with the signature of torch's scaled_dot_product_attention, by the kernels of this package."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch.nn.functional import scaled_dot_product_attention

if TYPE_CHECKING:  # in the kernel's folder, where a package's launching.py is cpu.py or sm80.py
    from . import cpu as launching
else:
    from . import launching
from .call import Call, call_of, heads_inside, laid_out, new_output
from .dispatch import choose, supported

FOLDER = Path(__file__).resolve().parent
MANIFEST = json.loads((FOLDER / "manifest.json").read_text())
DEVICE_TYPE = "cpu" if MANIFEST["target"] == "cpu" else "cuda"
# Plans are small; a process that meets more shapes than this starts over.
MOST_PLANS = 4096
# Stands in for a scale of 0, which kernels do not take: the least normal number. Times a score it is next to nothing,
# times -infinity it is that.
NEXT_TO_ZERO = 2.0**-126

Run = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
_plans: dict[tuple[object, ...], Run] = {}
# Looked up once: by their names they take three times as long.
_is_compiling, _dispatch_stack = torch.compiler.is_compiling, torch._C._len_torch_dispatch_stack


def _tensor_guards() -> Any:
    """Return the check of tensors that torch.compile uses, or None where this torch has another one.

    A comparison by public attributes takes 3.4 us where this check takes 1.1 us (H200's host, 2026-11-30). Without it
    every call takes the longer way.
    """
    try:
        guards = torch._C._dynamo.guards.TensorGuards
        guards(torch.empty(0), torch.empty(0), dynamic_dims_sizes=None, dynamic_dims_strides=None)  # type: ignore[misc, arg-type]  # the stub is another signature's
    except (AttributeError, TypeError):
        return None
    return guards


_TensorGuards = _tensor_guards()
_latest: Latest | None = None


@dataclass(frozen=True)
class Latest:
    """What served the last call. `same(q, k, v)` says at once whether tensors are as those were: 0.4 us instead of 2.

    It compares class, dtype, device, sizes, strides, whether a gradient is asked for, and what torch dispatches by.
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
    """`softmax(scale * q @ k^T) @ v` in a new tensor of q's shape; `scale` is 1/sqrt(D) unless given.

    q is [B, H, S_q, D]; k and v are [B, H_kv, S_kv, D] with H a multiple of H_kv (each is then shared, as SDPA
    does with enable_gqa). Any strides, S_q and S_kv, any finite scale. The result is dense, with heads inside of rows
    where q has them so, and contiguous elsewhere. `is_causal` lets query i see keys 0 to i, as
    SDPA does. dispatch.py says which kernel, or SDPA itself, serves which shape; SDPA also serves a GPU that the
    package has no binary for. There is no backward: inputs that require grad are refused, or given to SDPA with
    `on_grad="sdpa"`. Works in torch.compile(fullgraph=True), and in CUDA graphs after one call of the same shapes on
    the stream that is captured.

    Raises TypeError or ValueError for tensors that it cannot take, RuntimeError when a kernel cannot be loaded or
    built, or would have to be loaded while a stream is captured. May be called from several threads and on several
    streams.
    """
    if _is_compiling() or _dispatch_stack():
        # Something traces; an operator costs the host 10 us, so only then.
        return _through_operator(q, k, v, is_causal, scale, on_grad)
    latest = _latest
    if latest is not None and latest.is_causal == is_causal and latest.scale == scale and latest.same(q, k, v):
        return latest.run(q, k, v)
    if not (type(q) is type(k) is type(v) is torch.Tensor):
        return _through_operator(q, k, v, is_causal, scale, on_grad)
    if q.requires_grad or k.requires_grad or v.requires_grad:
        if torch.is_grad_enabled():
            return _with_grad(q, k, v, is_causal, scale, on_grad)
        return _forward(q, k, v, is_causal, scale)
    run = _planned(q, k, v, is_causal, scale)
    _remember(q, k, v, is_causal, scale, run)
    return run(q, k, v)


def kernel_function(kernel: str) -> Callable[..., torch.Tensor]:
    """The same function by one kernel of the manifest, whatever dispatch.py says: what the verification calls."""

    def run(
        q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, is_causal: bool = False, scale: float | None = None
    ) -> torch.Tensor:
        return _plan(q, k, v, is_causal, scale, kernel)(q, k, v)

    return run


def _forward(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, is_causal: bool = False, scale: float | None = None
) -> torch.Tensor:
    return _planned(q, k, v, is_causal, scale)(q, k, v)


def _planned(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, is_causal: bool, scale: float | None) -> Run:
    """Made with every check, so that calls with the same shapes, strides, dtypes and devices need none again."""
    shapes, strides = (q.shape, k.shape, v.shape), (q.stride(), k.stride(), v.stride())
    key = (shapes, strides, q.dtype, k.dtype, v.dtype, q.device, k.device, v.device, is_causal, scale)
    run = _plans.get(key)
    if run is None:
        run = _plan(q, k, v, is_causal, scale)
        if len(_plans) >= MOST_PLANS:
            _plans.clear()
        _plans[key] = run
    return run


def _remember(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, is_causal: bool, scale: float | None, run: Run
) -> None:
    global _latest
    # Of one tensor that is given twice a guard says no every time.
    if _TensorGuards is not None and k is not v and q is not k and q is not v:
        guards = _TensorGuards(q, k, v, dynamic_dims_sizes=None, dynamic_dims_strides=None)
        _latest = Latest(is_causal, scale, guards.check, run)


def _plan(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, is_causal: bool, scale: float | None, kernel: str | None = None
) -> Run:
    """What serves such calls: that kernel, or the one that dispatch.py chooses."""
    _check(q, k, v, scale)
    inside = heads_inside(q)
    if q.numel() == 0:
        return lambda q, k, v: new_output(q)
    if scale is not None and scale <= 0:
        negated, above_zero = _above_zero(q, scale)
        run = _plan(negated, k, v, is_causal, above_zero, kernel)
        return lambda q, k, v: laid_out(run(_above_zero(q, scale)[0], k, v), inside)
    call = _call(q, k, v, is_causal, scale)
    if kernel is None:
        kernel = choose(_name(q.dtype), call.head_dim, call.batch_heads, call.queries, call.keys, call.causal).kernel
        if kernel is None or not launching.can_run(MANIFEST, kernel, call):
            return lambda q, k, v: laid_out(_sdpa(q, k, v, is_causal, scale), inside)
    return launching.prepare(FOLDER, MANIFEST, kernel, call)


def _above_zero(q: torch.Tensor, scale: float | None) -> tuple[torch.Tensor, float | None]:
    """Queries and a scale above 0 that give the same scores: neither kernels nor SDPA's own on GPUs take others."""
    if scale is None or scale > 0:
        return q, scale
    return (-q, -scale) if scale < 0 else (q, NEXT_TO_ZERO)


def _call(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, is_causal: bool, scale: float | None) -> Call:
    factor = 1.0 / math.sqrt(q.shape[3]) if scale is None else float(scale)
    return call_of(q, k, v, factor, bool(is_causal))


def _sdpa(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, is_causal: bool, scale: float | None) -> torch.Tensor:
    q, scale = _above_zero(q, scale)
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


# Two packages in one process, or two versions of one, have two operators.
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
