"""Describe a call by its sizes, strides and mask, and copy tensors that a kernel cannot read in place.

BSHD order means that the heads of one row are adjacent in memory, [B, S, H, D], as projections of models write them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

# sm80.cu copies 16 bytes at a time. Torch aligns its allocations to 64 bytes and more.
ALIGNMENT = 16

Sizes = tuple[int, int, int, int]


@dataclass(frozen=True)
class Call:
    """Everything that a kernel is prepared for: shapes, strides, scale and mask, but no data.

    `shape` is that of q and of the output. Strides are in elements. A dimension of size 1 has the stride that a
    contiguous tensor has, or 0. `out_is_bshd` says that the output has BSHD order.
    """

    shape: Sizes
    kv_heads: int
    keys: int
    q_strides: Sizes
    k_strides: Sizes
    v_strides: Sizes
    out_is_bshd: bool
    scale: float
    causal: bool
    dtype: torch.dtype
    device: torch.device

    @property
    def batch_heads(self) -> int:
        """Heads of q over all batches."""
        return self.shape[0] * self.shape[1]

    @property
    def queries(self) -> int:
        """Sequence length of q."""
        return self.shape[2]

    @property
    def head_dim(self) -> int:
        """Features of a query and of a key."""
        return self.shape[3]

    @property
    def group_size(self) -> int:
        """Number of heads of q that share one head of k and v."""
        return self.shape[1] // self.kv_heads

    @property
    def is_packed(self) -> bool:
        """True if q, k, v and the output are contiguous and no head is shared."""
        return self == self.packed()

    @property
    def out_strides(self) -> Sizes:
        """Strides of the output, which is dense in BHSD or BSHD order."""
        return _out_strides(self.shape, self.out_is_bshd)

    def packed(self) -> Call:
        """Return the call that the results of `pack` make."""
        return replace(self, kv_heads=self.shape[1], out_is_bshd=False).contiguous()

    def contiguous(self, copied: tuple[bool, bool, bool] = (True, True, True)) -> Call:
        """Return the call after those of q, k and v that are `copied` have become contiguous."""
        kv = dense_strides((self.shape[0], self.kv_heads, self.keys, self.head_dim))
        q, k, v = copied
        return replace(
            self,
            q_strides=dense_strides(self.shape) if q else self.q_strides,
            k_strides=kv if k else self.k_strides,
            v_strides=kv if v else self.v_strides,
        )


def make_call(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float, causal: bool) -> Call:
    """Describe a call with tensors that were checked before."""
    batch, heads, queries, head_dim = q.shape
    return Call(
        shape=(batch, heads, queries, head_dim),
        kv_heads=k.shape[1],
        keys=k.shape[2],
        q_strides=_strides(q),
        k_strides=_strides(k),
        v_strides=_strides(v),
        # With one head or one query the two orders are the same.
        out_is_bshd=is_bshd(q) and heads > 1 and queries > 1,
        scale=scale,
        causal=causal,
        dtype=q.dtype,
        device=q.device,
    )


def is_bshd(q: torch.Tensor) -> bool:
    """Return True if q has BSHD order: the heads of a row are closer together than the rows of a head."""
    return q.stride(1) < q.stride(2)


def new_output(q: torch.Tensor) -> torch.Tensor:
    """Return an uninitialized output for q, with the strides that the function promises; q may be symbolic."""
    batch, heads, queries, head_dim = q.shape
    shape = batch, heads, queries, head_dim
    return torch.empty_strided(shape, _out_strides(shape, is_bshd(q)), dtype=q.dtype, device=q.device)


def reorder_output(out: torch.Tensor, bshd: bool) -> torch.Tensor:
    """Return the output with the strides that the function promises, copied if it has others."""
    return out.transpose(1, 2).contiguous().transpose(1, 2) if bshd else out.contiguous()


def pack(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return q, k and v contiguous and aligned, with a head of k and v for each head of q."""
    group_size = q.shape[1] // k.shape[1]
    if group_size > 1:
        k, v = (tensor.repeat_interleave(group_size, dim=1) for tensor in (k, v))
    return align(q), align(k), align(v)


def align(tensor: torch.Tensor) -> torch.Tensor:
    """Return a contiguous tensor that a kernel can read: the tensor itself, or a copy."""
    if tensor.is_contiguous() and tensor.data_ptr() % ALIGNMENT == 0:
        return tensor
    return tensor.clone(memory_format=torch.contiguous_format)


def dense_strides(sizes: Sizes) -> Sizes:
    """Return the strides of a contiguous tensor."""
    _, second, third, last = sizes
    return second * third * last, third * last, last, 1


def _out_strides(shape: Sizes, bshd: bool) -> Sizes:
    _, heads, queries, head_dim = shape
    return (queries * heads * head_dim, head_dim, heads * head_dim, 1) if bshd else dense_strides(shape)


def _strides(tensor: torch.Tensor) -> Sizes:
    sizes = tensor.shape[0], tensor.shape[1], tensor.shape[2], tensor.shape[3]
    if tensor.is_contiguous():
        return dense_strides(sizes)
    first, second, third, last = (
        stride if size > 1 else 0 for size, stride in zip(sizes, tensor.stride(), strict=True)
    )
    return first, second, third, last
