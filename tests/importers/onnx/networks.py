"""Small networks that between them have what exporters write in special ways; `export` writes them with either of torch's exporters."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional

Exporter = Literal["legacy", "dynamo"]


class Images(nn.Module):  # type: ignore[misc]
    """Convolutions of all kinds, normalisations, pools, squeeze and excitation, a resize, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.SiLU())
        self.depthwise = nn.Sequential(nn.Conv2d(16, 16, 5, 1, 2, groups=16, bias=False), nn.BatchNorm2d(16), nn.Hardswish())
        self.squeeze, self.excite = nn.Conv2d(16, 4, 1), nn.Conv2d(4, 16, 1)
        self.grouped = nn.Conv2d(16, 24, 3, 1, 2, dilation=2, groups=4)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.norm = nn.GroupNorm(4, 24)
        self.slope = nn.PReLU(24)
        self.up = nn.ConvTranspose2d(24, 8, 2, 2)
        self.head = nn.Linear(32, 10)

    def forward(self, x: Any) -> Any:
        x = self.depthwise(self.stem(x))
        gate = functional.hardsigmoid(self.excite(functional.relu(self.squeeze(functional.adaptive_avg_pool2d(x, 1)))))
        x = self.slope(self.norm(self.pool(self.grouped(x * gate + x))))
        x = torch.cat([functional.interpolate(x, scale_factor=2.0, mode="bilinear"), self.up(x)], 1)
        x = functional.avg_pool2d(functional.leaky_relu(x.clamp(-3, 3)), 2, ceil_mode=True)
        return self.head(functional.pad(x, (1, 1, 1, 1), mode="reflect").mean((2, 3)))


class Tokens(nn.Module):  # type: ignore[misc]
    """A vision transformer of two blocks: a class token, positions, both forms of GELU, layer scale."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 32, 8, 8)
        self.token, self.positions = nn.Parameter(torch.zeros(1, 1, 32)), nn.Parameter(torch.zeros(1, 17, 32))
        self.blocks = nn.ModuleList(Block("none") if number else Block("tanh") for number in range(2))
        self.norm, self.head = nn.LayerNorm(32), nn.Linear(32, 10)

    def forward(self, x: Any) -> Any:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


class Block(nn.Module):  # type: ignore[misc]
    """Attention and two layers, each with a residual."""

    def __init__(self, approximate: str) -> None:
        super().__init__()
        self.norm1, self.qkv, self.project = nn.LayerNorm(32), nn.Linear(32, 96), nn.Linear(32, 32)
        self.norm2, self.up, self.down = nn.LayerNorm(32), nn.Linear(32, 64), nn.Linear(64, 32)
        self.activation, self.gamma = nn.GELU(approximate), nn.Parameter(torch.ones(32))

    def forward(self, x: Any) -> Any:
        batch, length, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).reshape(batch, length, 3, 4, width // 4).permute(2, 0, 3, 1, 4).unbind(0)
        y = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, length, width)
        x = x + self.gamma * self.project(y)
        return x + self.down(self.activation(self.up(self.norm2(x))))


class Windows(nn.Module):  # type: ignore[misc]
    """What shifted windows and shuffles need: rolls, windows as a batch, chunks, a table of biases, attention written out."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm = nn.Conv2d(3, 16, 4, 4), nn.LayerNorm(16)
        self.qkv, self.table = nn.Linear(16, 48), nn.Parameter(torch.zeros(9, 2))
        rows, columns = torch.arange(4) // 2, torch.arange(4) % 2
        self.register_buffer("places", 3 * (rows[:, None] - rows[None] + 1) + columns[:, None] - columns[None] + 1)
        self.head = nn.Linear(16, 10)

    def forward(self, x: Any) -> Any:
        x = self.norm(self.embed(x).permute(0, 2, 3, 1))
        x = torch.roll(x, (-1, -1), (1, 2))
        batch, height, width, channels = x.shape
        x = x.view(batch, height // 2, 2, width // 2, 2, channels).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, channels)
        q, k, v = self.qkv(x).reshape(x.shape[0], 4, 3, 2, channels // 2).permute(2, 0, 3, 1, 4).unbind(0)
        scores = (q * 0.35) @ k.transpose(-2, -1) + self.table[self.places.view(-1)].view(4, 4, 2).permute(2, 0, 1).unsqueeze(0)
        x = (scores.softmax(-1) @ v).transpose(1, 2).reshape(-1, 4, channels)
        first, second = x.chunk(2, 2)
        return self.head(torch.cat([functional.silu(first), second], 2).reshape(batch, -1, channels).mean(1))


class Words(nn.Module):  # type: ignore[misc]
    """A table of words, a recurrent layer, a layer over one dimension."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.memory = nn.Embedding(50, 12), nn.LSTM(12, 16, batch_first=True)
        self.filter, self.head = nn.Conv1d(16, 8, 3, padding=1), nn.Linear(8, 50)

    def forward(self, x: Any) -> Any:
        x = self.memory(self.table(x))[0]
        return self.head(functional.elu(self.filter(x.transpose(1, 2))).transpose(1, 2))


NETWORKS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "images": (Images, (1, 3, 32, 32)),
    "tokens": (Tokens, (1, 3, 32, 32)),
    "windows": (Windows, (1, 3, 32, 32)),
    "words": (Words, (1, 7)),
}


def network(name: str) -> Any:
    """A network of this file with random weights, in eval mode."""
    torch.manual_seed(0)
    module = NETWORKS[name][0]().eval()
    randomise(module)
    return module


def randomise(module: Any) -> None:
    """Weights and statistics that differ everywhere, so that no exporter takes two tensors for one."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for key, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) * (1.0 if key.endswith("running_var") else 0.4) + 0.1)


def example(name: str, batch: int = 1) -> Any:
    """An input of a network."""
    shape = (batch, *NETWORKS[name][1][1:])
    return torch.zeros(shape, dtype=torch.int64) if name == "words" else torch.rand(shape, generator=torch.Generator().manual_seed(1))


def export(module: Any, inputs: Any, path: Path, exporter: Exporter, *, opset: int | None = None, is_open: bool = False, whole: bool = True) -> None:
    """Write `module` as ONNX.

    Parameters
    ----------
    is_open : leave the batch open.
    whole : keep batch normalisations and names, as the exporters do only if asked: `optimize=False`, or training mode
        preserved and constants not folded.
    """
    options: dict[str, Any] = {} if opset is None else {"opset_version": opset}
    with _quietly():
        if exporter == "dynamo":
            shapes = ({0: torch.export.Dim("batch", min=1, max=64)},) if is_open else None
            torch.onnx.export(module, (inputs,), path, dynamo=True, verbose=False, external_data=False, optimize=not whole, dynamic_shapes=shapes, **options)
            return
        if is_open:
            options |= {"input_names": ["x"], "dynamic_axes": {"x": {0: "batch"}}}
        if whole:
            options |= {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False}
        torch.onnx.export(module, (inputs,), path, dynamo=False, **options)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Exporters warn and print."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
