"""A small GPT that calls torch's scaled_dot_product_attention, as users' models do, or another function."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch import nn
from torch.nn import functional


class Attention(nn.Module):
    def __init__(self, heads: int, head_dim: int) -> None:
        super().__init__()
        self.heads, self.width = heads, heads * head_dim
        self.joint = nn.Linear(self.width, 3 * self.width)
        self.out = nn.Linear(self.width, self.width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, _ = x.shape
        q, k, v = (each.view(batch, length, self.heads, -1).transpose(1, 2) for each in self.joint(x).chunk(3, dim=-1))
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        joined: torch.Tensor = self.out(mixed.transpose(1, 2).reshape(batch, length, self.width))
        return joined


class Block(nn.Module):
    def __init__(self, heads: int, head_dim: int) -> None:
        super().__init__()
        width = heads * head_dim
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(heads, head_dim)
        self.feed_forward = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.before(x))
        fed: torch.Tensor = x + self.feed_forward(self.between(x))
        return fed


class GPT(nn.Module):
    """Tokens [batch, length] to logits [batch, length, vocabulary]."""

    def __init__(self, layers: int, heads: int, head_dim: int, vocabulary: int, length: int) -> None:
        super().__init__()
        width = heads * head_dim
        self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.blocks = nn.Sequential(*(Block(heads, head_dim) for _ in range(layers)))
        self.last, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        places = torch.arange(tokens.shape[1], device=tokens.device)
        logits: torch.Tensor = self.head(self.last(self.blocks(self.tokens(tokens) + self.places(places))))
        return logits


@contextmanager
def attention_of(function: Callable[..., torch.Tensor]) -> Iterator[None]:
    """In it, models that call it as the GPT does call `function`."""
    with patch.object(functional, "scaled_dot_product_attention", function):
        yield
