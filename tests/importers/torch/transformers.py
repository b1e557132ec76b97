"""Networks of the kinds that the transformers library has, written for the tests in torch alone: small, with the usual twists of each."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional


class BertLike(nn.Module):
    """Encoder with three embeddings, a mask from padding, and a decoder that is the word embedding (tied). Source: arXiv 1810.04805."""

    def __init__(self, words: int = 211, width: int = 48, heads: int = 4, layers: int = 2) -> None:
        super().__init__()
        self.words = nn.Embedding(words, width, padding_idx=0)
        self.positions = nn.Embedding(64, width)
        self.types = nn.Embedding(2, width)
        self.norm = nn.LayerNorm(width, eps=1e-12)
        self.layers = nn.ModuleList(BertLayer(width, heads) for _ in range(layers))
        self.transform = nn.Linear(width, width)
        self.transform_norm = nn.LayerNorm(width)
        self.decoder = nn.Linear(width, words)
        self.decoder.weight = self.words.weight
        self.register_buffer("position_ids", torch.arange(64).expand((1, -1)))

    def forward(self, input_ids: Any, attention_mask: Any) -> Any:
        places = self.position_ids[:, : input_ids.shape[1]]
        kinds = torch.zeros_like(input_ids)
        x = self.norm(self.words(input_ids) + self.positions(places) + self.types(kinds))
        mask = (1.0 - attention_mask[:, None, None, :].to(x.dtype)) * -10000.0
        for layer in self.layers:
            x = layer(x, mask)
        return self.decoder(self.transform_norm(functional.gelu(self.transform(x))))


class BertLayer(nn.Module):
    """Attention written out, and a feed-forward network, each with its sum and norm behind it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Any, mask: Any) -> Any:
        batch, length, width = x.shape
        q, k, v = (layer(x).view(batch, length, self.heads, -1).transpose(1, 2) for layer in (self.query, self.key, self.value))
        scores = q @ k.transpose(-1, -2) / math.sqrt(width // self.heads) + mask
        y = (self.dropout(scores.softmax(-1)) @ v).transpose(1, 2).reshape(batch, length, width)
        x = self.norm1(x + self.dropout(self.output(y)))
        return self.norm2(x + self.dropout(self.down(functional.gelu(self.up(x)))))


class GptLike(nn.Module):
    """Causal decoder with rotary positions, four query heads for each pair of key and value heads, RMS norms and a gated SiLU. Source: arXiv 2302.13971."""

    def __init__(self, words: int = 199, width: int = 64, heads: int = 8, groups: int = 2, layers: int = 2) -> None:
        super().__init__()
        self.words = nn.Embedding(words, width)
        self.layers = nn.ModuleList(GptLayer(width, heads, groups) for _ in range(layers))
        self.norm = nn.RMSNorm(width)
        self.head = nn.Linear(width, words, bias=False)
        size = width // heads
        self.register_buffer("frequencies", 10000.0 ** (-torch.arange(0, size, 2) / size), persistent=False)

    def forward(self, input_ids: Any) -> Any:
        angles = torch.outer(torch.arange(input_ids.shape[1], device=input_ids.device).float(), self.frequencies)
        angles = torch.cat((angles, angles), -1)
        x = self.words(input_ids)
        for layer in self.layers:
            x = layer(x, angles.cos(), angles.sin())
        return self.head(self.norm(x))


class GptLayer(nn.Module):
    """Grouped-query attention by torch's own function, then the gated network."""

    def __init__(self, width: int, heads: int, groups: int) -> None:
        super().__init__()
        self.heads, self.groups = heads, groups
        size = width // heads
        self.norm1, self.norm2 = nn.RMSNorm(width), nn.RMSNorm(width)
        self.q, self.k, self.v, self.o = (
            nn.Linear(a, b, bias=False) for a, b in ((width, width), (width, groups * size), (width, groups * size), (width, width))
        )
        self.gate, self.up, self.down = (nn.Linear(a, b, bias=False) for a, b in ((width, 3 * width), (width, 3 * width), (3 * width, width)))

    @staticmethod
    def rotated(x: Any, cos: Any, sin: Any) -> Any:
        first, second = x.chunk(2, -1)
        return x * cos + torch.cat((-second, first), -1) * sin

    def forward(self, x: Any, cos: Any, sin: Any) -> Any:
        batch, length, width = x.shape
        y = self.norm1(x)
        q = self.q(y).view(batch, length, self.heads, -1).transpose(1, 2)
        k, v = (layer(y).view(batch, length, self.groups, -1).transpose(1, 2) for layer in (self.k, self.v))
        q, k = self.rotated(q, cos, sin), self.rotated(k, cos, sin)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        x = x + self.o(y.transpose(1, 2).reshape(batch, length, width))
        y = self.norm2(x)
        return x + self.down(functional.silu(self.gate(y)) * self.up(y))


class T5Like(nn.Module):
    """Encoder with learned biases for buckets of distances, shared by all layers, RMS norms written out and a gated GELU. Source: arXiv 1910.10683."""

    def __init__(self, words: int = 157, width: int = 48, heads: int = 6, layers: int = 2, buckets: int = 32) -> None:
        super().__init__()
        self.buckets = buckets
        self.words = nn.Embedding(words, width)
        self.biases = nn.Embedding(buckets, heads)
        self.layers = nn.ModuleList(T5Layer(width, heads) for _ in range(layers))
        self.norm = WrittenOutNorm(width)

    def bucket(self, distance: Any) -> Any:
        """Exact buckets for short distances, logarithmic ones beyond, half of them for each direction."""
        half = self.buckets // 2
        side = (distance > 0).to(torch.long) * half
        distance = distance.abs()
        exact = half // 2
        far = exact + (torch.log(distance.float() / exact) / math.log(128 / exact) * (half - exact)).to(torch.long)
        far = torch.min(far, torch.full_like(far, half - 1))
        return side + torch.where(distance < exact, distance, far)

    def forward(self, input_ids: Any) -> Any:
        length = input_ids.shape[1]
        places = torch.arange(length, device=input_ids.device)
        bias = self.biases(self.bucket(places[None, :] - places[:, None])).permute(2, 0, 1).unsqueeze(0)
        x = self.words(input_ids)
        for layer in self.layers:
            x = layer(x, bias)
        return self.norm(x)


class WrittenOutNorm(nn.Module):
    """x / sqrt(mean of squares) times a learned factor, in elementary calls."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Any) -> Any:
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))


class T5Layer(nn.Module):
    """Attention without scaling, and the gated network."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = WrittenOutNorm(width), WrittenOutNorm(width)
        self.q, self.k, self.v, self.o = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.gate, self.up, self.down = nn.Linear(width, 128, bias=False), nn.Linear(width, 128, bias=False), nn.Linear(128, width, bias=False)

    def forward(self, x: Any, bias: Any) -> Any:
        batch, length, width = x.shape
        y = self.norm1(x)
        q, k, v = (layer(y).view(batch, length, self.heads, -1).transpose(1, 2) for layer in (self.q, self.k, self.v))
        scores = torch.matmul(q, k.transpose(3, 2))
        scores += bias
        y = torch.matmul(functional.softmax(scores.float(), dim=-1).type_as(scores), v)
        x = x + self.o(y.transpose(1, 2).contiguous().view(batch, -1, width))
        y = self.norm2(x)
        return x + self.down(functional.gelu(self.gate(y), approximate="tanh") * self.up(y))


class RegisterViT(nn.Module):
    """Vision transformer with register tokens beside the class token, q, k and v packed by nn.MultiheadAttention. Source: arXiv 2309.16588."""

    def __init__(self, width: int = 48, heads: int = 4, layers: int = 2, registers: int = 4, classes: int = 10) -> None:
        super().__init__()
        self.registers = registers
        self.patches = nn.Conv2d(3, width, 8, 8)
        self.class_token = nn.Parameter(torch.randn(1, 1, width))
        self.register_tokens = nn.Parameter(torch.randn(1, registers, width))
        self.positions = nn.Parameter(torch.randn(1, 17, width))
        options = {"activation": "gelu", "batch_first": True, "norm_first": True}
        self.layers = nn.ModuleList(nn.TransformerEncoderLayer(width, heads, 4 * width, **options) for _ in range(layers))

        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, image: Any) -> Any:
        x = self.patches(image).flatten(2).transpose(1, 2)
        x = torch.cat((self.class_token.expand(len(x), -1, -1), x), 1) + self.positions
        x = torch.cat((x[:, :1], self.register_tokens.expand(len(x), -1, -1), x[:, 1:]), 1)
        for layer in self.layers:
            x = layer(x)
        x = self.norm(x)
        return self.head(torch.cat((x[:, 0], x[:, 1 + self.registers :].mean(1)), 1)[:, : self.head.in_features])


class SpeechLike(nn.Module):
    """Two convolutions over time as Whisper's (arXiv 2212.04356), then blocks of attention and a convolution module as Conformer's (arXiv 2005.08100)."""

    def __init__(self, mels: int = 20, width: int = 32, heads: int = 4, layers: int = 2, length: int = 40) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(mels, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        steps = torch.arange(length // 2)[:, None] * torch.exp(-math.log(10000) / (width // 2 - 1) * torch.arange(width // 2))[None]
        self.register_buffer("positions", torch.cat((steps.sin(), steps.cos()), 1))
        self.layers = nn.ModuleList(ConformerLayer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, mel: Any) -> Any:
        x = functional.gelu(self.conv2(functional.gelu(self.conv1(mel)))).permute(0, 2, 1)
        x = x + self.positions
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


class ConformerLayer(nn.Module):
    """Attention by torch's own module, then a gated pointwise, a depthwise and a pointwise convolution over time."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.expand = nn.Conv1d(width, 2 * width, 1)
        self.depthwise = nn.Conv1d(width, width, 7, padding=3, groups=width)
        self.batch_norm = nn.BatchNorm1d(width)
        self.project = nn.Conv1d(width, width, 1)

    def forward(self, x: Any) -> Any:
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        y = functional.glu(self.expand(self.norm2(x).transpose(1, 2)), dim=1)
        return x + self.project(functional.silu(self.batch_norm(self.depthwise(y)))).transpose(1, 2)
