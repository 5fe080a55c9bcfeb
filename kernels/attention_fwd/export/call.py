"""A call as a kernel is prepared for it: sizes, where rows lie, the mask; and the copies that make any call fit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

# 16-byte copies: sm80.cu. Torch aligns what it allocates to 64 bytes and more.
ALIGNMENT = 16

Sizes = tuple[int, int, int, int]


@dataclass(frozen=True)
class Call:
    """The shape of q and of the output, heads and length of k and v, the strides of all three, the scale, the mask.

    Strides are in elements; that of a size of 1, which nothing moves along, is the one a contiguous tensor has, or 0.
    `heads_inside` is how the output lies.
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
        """Of the output: dense, and with heads inside of rows where q has them so."""
        return _out_strides(self.shape, self.heads_inside)

    def packed(self) -> Call:
        """What it is for the results of the function `packed`."""
        return replace(self, kv_heads=self.shape[1], heads_inside=False).contiguous()

    def contiguous(self, wanted: tuple[bool, bool, bool] = (True, True, True)) -> Call:
        """What it is where those of q, k and v that are wanted so are contiguous."""
        kv = dense((self.shape[0], self.kv_heads, self.keys, self.head_dim))
        q, k, v = wanted
        return replace(
            self,
            q_strides=dense(self.shape) if q else self.q_strides,
            k_strides=kv if k else self.k_strides,
            v_strides=kv if v else self.v_strides,
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
        # Where one of the two is 1, either order is both.
        heads_inside=heads_inside(q) and heads > 1 and queries > 1,
        scale=scale,
        causal=causal,
        dtype=q.dtype,
        device=q.device,
    )


def heads_inside(q: torch.Tensor) -> bool:
    """Whether a row's heads lie closer to each other than a head's rows, as models' projections have it."""
    return q.stride(1) < q.stride(2)


def new_output(q: torch.Tensor) -> torch.Tensor:
    """What the function promises to return for q, of any content; q may be symbolic."""
    batch, heads, queries, head_dim = q.shape
    shape = batch, heads, queries, head_dim
    return torch.empty_strided(shape, _out_strides(shape, heads_inside(q)), dtype=q.dtype, device=q.device)


def laid_out(out: torch.Tensor, inside: bool) -> torch.Tensor:
    """The output with the strides that the function promises; a copy where it has others."""
    return out.transpose(1, 2).contiguous().transpose(1, 2) if inside else out.contiguous()


def packed(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Contiguous, aligned, and a head of k and v for each of q."""
    sharing = q.shape[1] // k.shape[1]
    if sharing > 1:
        k, v = (tensor.repeat_interleave(sharing, dim=1) for tensor in (k, v))
    return aligned(q), aligned(k), aligned(v)


def aligned(tensor: torch.Tensor) -> torch.Tensor:
    """Contiguous and where a kernel can read it: itself, or a copy."""
    if tensor.is_contiguous() and tensor.data_ptr() % ALIGNMENT == 0:
        return tensor
    return tensor.clone(memory_format=torch.contiguous_format)


def dense(sizes: Sizes) -> Sizes:
    """The strides of a contiguous tensor."""
    _, second, third, last = sizes
    return second * third * last, third * last, last, 1


def _out_strides(shape: Sizes, inside: bool) -> Sizes:
    _, heads, queries, head_dim = shape
    return (queries * heads * head_dim, head_dim, heads * head_dim, 1) if inside else dense(shape)


def _strides(tensor: torch.Tensor) -> Sizes:
    sizes = tensor.shape[0], tensor.shape[1], tensor.shape[2], tensor.shape[3]
    if tensor.is_contiguous():
        return dense(sizes)
    first, second, third, last = (
        stride if size > 1 else 0 for size, stride in zip(sizes, tensor.stride(), strict=True)
    )
    return first, second, third, last
