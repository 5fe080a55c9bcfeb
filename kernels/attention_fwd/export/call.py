"""A call as a kernel is prepared for it: sizes, where rows lie, the mask; and the copies that make any call fit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

# 16-byte copies: sm80.cu. The caching allocators align what they give to 64 bytes and more.
ALIGNMENT = 16

Sizes = tuple[int, int, int, int]


@dataclass(frozen=True)
class Call:
    """The shape of q and of the output, heads and length of k and v, the strides of all three, the scale, the mask.

    Strides are in elements; that of a size of 1, which nothing moves along, is the one a contiguous tensor has, or 0.
    """

    shape: Sizes
    kv_heads: int
    keys: int
    q_strides: Sizes
    k_strides: Sizes
    v_strides: Sizes
    heads_inside: bool
    scale: float
    causal: bool
    dtype: torch.dtype
    device: torch.device

    @property
    def batch_heads(self) -> int:
        """Matrices of queries."""
        return self.shape[0] * self.shape[1]

    @property
    def queries(self) -> int:
        """Of each matrix."""
        return self.shape[2]

    @property
    def head_dim(self) -> int:
        """Features of a query and of a key."""
        return self.shape[3]

    @property
    def sharing(self) -> int:
        """How many heads of q in turn attend to one of k and v."""
        return self.shape[1] // self.kv_heads

    @property
    def is_packed(self) -> bool:
        """Whether matrix lies after matrix in all three, and in the output, and no head is shared."""
        return self == self.packed()

    @property
    def out_strides(self) -> Sizes:
        """Of the output: dense, and with heads inside of rows where q has them so, as SDPA leaves it."""
        _, heads, queries, head_dim = self.shape
        if self.heads_inside:
            return queries * heads * head_dim, head_dim, heads * head_dim, 1
        return dense(self.shape)

    def packed(self) -> Call:
        """What it is for the results of the function `packed`."""
        kv = dense((self.shape[0], self.shape[1], self.keys, self.head_dim))
        return replace(
            self,
            kv_heads=self.shape[1],
            q_strides=dense(self.shape),
            k_strides=kv,
            v_strides=kv,
            heads_inside=False,
        )


def call_of(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float, causal: bool) -> Call:
    """Of tensors that were checked."""
    batch, heads, queries, head_dim = q.shape
    return Call(
        shape=(batch, heads, queries, head_dim),
        kv_heads=k.shape[1],
        keys=k.shape[2],
        q_strides=_strides(q),
        k_strides=_strides(k),
        v_strides=_strides(v),
        heads_inside=heads_inside(q) and not q.is_contiguous(),
        scale=scale,
        causal=causal,
        dtype=q.dtype,
        device=q.device,
    )


def heads_inside(q: torch.Tensor) -> bool:
    """Whether a row's heads lie closer to each other than a head's rows, as models' projections have it."""
    return q.stride(1) < q.stride(2)


def laid_out(out: torch.Tensor, inside: bool) -> torch.Tensor:
    """The output with the strides that the function promises; a copy where it has others."""
    return out.transpose(1, 2).contiguous().transpose(1, 2) if inside else out.contiguous()


def packed(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Contiguous, aligned, and a head of k and v for each of q; one kernel copies what lies evenly in one tensor."""
    sharing = q.shape[1] // k.shape[1]
    if sharing > 1:
        k, v = (tensor.repeat_interleave(sharing, dim=1) for tensor in (k, v))
    together = None if q.is_contiguous() else _evenly_spaced(q, k, v)
    if together is not None:
        return together.clone(memory_format=torch.contiguous_format).unbind()
    return _copied(q), _copied(k), _copied(v)


def dense(sizes: Sizes) -> Sizes:
    """The strides of a contiguous tensor."""
    _, second, third, last = sizes
    return second * third * last, third * last, last, 1


def _strides(tensor: torch.Tensor) -> Sizes:
    sizes = tensor.shape[0], tensor.shape[1], tensor.shape[2], tensor.shape[3]
    if tensor.is_contiguous():
        return dense(sizes)
    first, second, third, last = (
        stride if size > 1 else 0 for size, stride in zip(sizes, tensor.stride(), strict=True)
    )
    return first, second, third, last


def _evenly_spaced(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor | None:
    """[3, B, H, S, D], as a joint projection leaves them."""
    step = k.storage_offset() - q.storage_offset()
    even = step > 0 and v.storage_offset() - k.storage_offset() == step
    alike = q.shape == k.shape == v.shape and q.stride() == k.stride() == v.stride()
    starts = {tensor.untyped_storage().data_ptr() for tensor in (q, k, v)}
    return q.as_strided((3, *q.shape), (step, *q.stride())) if even and alike and len(starts) == 1 else None


def _copied(tensor: torch.Tensor) -> torch.Tensor:
    """Itself where a kernel can read it."""
    if tensor.is_contiguous() and tensor.data_ptr() % ALIGNMENT == 0:
        return tensor
    return tensor.clone(memory_format=torch.contiguous_format)
