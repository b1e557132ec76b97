"""`Space`: a chain of choice blocks. A candidate is one integer a block, and decodes to a `Graph`.

A block's options are tuples of layers, and a layer is a function ``(net, x) -> x`` on a `Net` (a `GraphBuilder` with the idioms of
image networks). Layers are values: equal ones are priced once, so they are named tuples or frozen dataclasses with `__call__`, or
functions of a module. What stands before the first and after the last block is the same for every candidate: `stem` and `head`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np

from costmodel.errors import UsageError, unknown, whole
from costmodel.graph import Graph, Value
from costmodel.zoo import Options
from costmodel.zoo._net import Net

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Candidates = NDArray[np.int64]


class Layer(Protocol):
    """A function of a network under construction and a tensor in it to the next tensor; equal layers cost the same."""

    def __call__(self, net: Net, x: Value, /) -> Value:
        """The layer's output, added to `net`."""


#: Most options of one block: the table of a block has a row for each, for each shape that may come in.
MAX_OPTIONS = 10**6


class Option(NamedTuple):
    """One choice of a block: its layers in order (none: the block is left out), and what it is in words, field by field."""

    layers: tuple[Layer, ...]
    fields: tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A place of the chain with its options; at least one, and no two with the same fields."""

    name: str
    options: tuple[Option, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.options) <= MAX_OPTIONS:
            raise UsageError(f"block {self.name!r} has {len(self.options)} options: give it 1 to {MAX_OPTIONS}")
        if len({option.fields for option in self.options}) < len(self.options):
            raise UsageError(f"block {self.name!r} has two options with the same fields: nobody could tell them apart")


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """A search space: `stem`, choice `blocks`, `head`, on images of `channels` x `resolution` (height, width).

    Stem and head may be empty; then every option of the first or the last block has a layer at that end of the network.

    Examples
    --------
    >>> from costmodel.search import space
    >>> fbnet = space("fbnet")
    >>> x = fbnet.sample(2, seed=0)
    >>> x.shape, fbnet.graph(x[0]).batch
    ((2, 22), 1)
    """

    name: str
    resolution: tuple[int, int]
    stem: tuple[Layer, ...]
    blocks: tuple[Block, ...]
    head: tuple[Layer, ...]
    channels: int = 3
    padding: Literal["same", "symmetric"] = "same"
    epsilon: float = 1e-3
    source: str = ""

    def __post_init__(self) -> None:
        if not self.blocks:
            raise UsageError(f"space {self.name!r} needs at least one block")
        for end, block in ((self.stem, self.blocks[0]), (self.head, self.blocks[-1])):
            if not end and not all(option.layers for option in block.options):
                raise UsageError(f"space {self.name!r}: without a {'stem' if end is self.stem else 'head'} block {block.name!r} cannot be left out")
        names = [block.name for block in self.blocks]
        if len(set(names)) < len(names) or {"stem", "head"} & set(names) or any("." in name for name in names):
            raise UsageError(f"space {self.name!r}: names of blocks must differ, have no dot, and be neither 'stem' nor 'head': {', '.join(names)}")

    @property
    def choices(self) -> tuple[int, ...]:
        """Number of options of every block."""
        return tuple(len(block.options) for block in self.blocks)

    @property
    def size(self) -> int:
        """Number of candidates."""
        return math.prod(self.choices)

    @property
    def fingerprint(self) -> str:
        """A hash of everything that the space consists of, in 16 hexadecimal digits: what files of one space are told by.

        Raises
        ------
        UsageError
            If a layer has no lasting name, as a lambda or an object without a `repr` of its own has none.
        """
        parts = [repr((self.name, self.resolution, self.channels, self.padding, self.epsilon, *map(_lasting, self.stem + self.head)))]
        for block in self.blocks:
            parts.append(block.name)
            parts += [repr((option.fields, *map(_lasting, option.layers))) for option in block.options]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def sample(self, number: int, *, seed: int) -> Candidates:
        """Uniform random candidates: (number, blocks), the same for the same seed."""
        number = whole("number of candidates", number, 0, 10**9)
        return np.random.default_rng(seed).integers(0, self.choices, size=(number, len(self.blocks)), dtype=np.int64)

    def checked(self, x: ArrayLike) -> Candidates:
        """`x` as candidates (number, blocks).

        Raises
        ------
        UsageError
            If it has another shape or type, or a choice that does not exist: names the block.
        """
        given = self.shaped(x)
        if given.size:
            for position in np.flatnonzero((given.min(axis=0) < 0) | (given.max(axis=0) >= self.choices))[:1]:
                wrong = given[:, position][(given[:, position] < 0) | (given[:, position] >= self.choices[position])][0]
                raise UsageError(f"block {self.blocks[position].name!r} of {self.name} has choices 0 to {self.choices[position] - 1}, not {wrong}")
        return given

    def shaped(self, x: ArrayLike) -> Candidates:
        """`x` as an integer array (number, blocks) whose choices are still to be checked; raises UsageError for other shapes and types."""
        given = np.asarray(x)
        if given.ndim != 2 or given.shape[1] != len(self.blocks) or given.dtype.kind not in "iu":
            raise UsageError(f"candidates of {self.name} are an integer array (number, {len(self.blocks)}), not {given.dtype} {given.shape}")
        return given.astype(np.int64, copy=False)

    def on(self, *, channels: int, resolution: tuple[int, int], classes: int) -> Space:
        """The same space on other images and with another number of classes; `self` where nothing changes.

        Raises
        ------
        UsageError
            If the head does not end in a layer with the field ``classes``, as `layers.Classifier` has it.
        """
        last = self.head[-1] if self.head else None
        if last is None or not hasattr(last, "classes") or not hasattr(last, "_replace"):
            raise UsageError(f"{self.name}: its head ends in no layer that says how many classes there are; end it in costmodel.search.layers.Classifier")
        if (channels, resolution, classes) == (self.channels, self.resolution, last.classes):
            return self
        name = f"{self.name}@{channels}x{resolution[0]}x{resolution[1]}-{classes}"
        return replace(self, name=name, channels=channels, resolution=resolution, head=(*self.head[:-1], last._replace(classes=classes)))

    def at(self, resolution: tuple[int, int]) -> Space:
        """The same space at another resolution (height, width)."""
        return self if resolution == self.resolution else replace(self, name=f"{self.name}@{resolution[0]}x{resolution[1]}", resolution=resolution)

    def graph(self, candidate: ArrayLike, *, batch: int = 1) -> Graph:
        """The network of one candidate (blocks,)."""
        row = self.checked(np.asarray(candidate)[None])[0]
        net = self.net(f"{self.name}[{' '.join(map(str, row))}]", batch=batch)
        parts = [
            ("stem", self.stem),
            *((block.name, block.options[choice].layers) for block, choice in zip(self.blocks, row, strict=True)),
            ("head", self.head),
        ]
        x = net.image
        for name, layers in parts:
            for number, layer in enumerate(layers):
                with net.scope(f"{name}.{number}"):
                    x = layer(net, x)
        return net.finish(x)

    def net(self, name: str, *, batch: int = 1, channels: int | None = None, resolution: tuple[int, int] | None = None) -> Net:
        """An empty network of this space's conventions, on this space's image or another."""
        options = Options(name=name, resolution=resolution or self.resolution, batch=batch)
        return Net(options, padding=self.padding, epsilon=self.epsilon, channels=channels or self.channels)

    def decode(self, candidate: ArrayLike) -> dict[str, dict[str, Any]]:
        """One candidate in words: block -> field -> value."""
        row = self.checked(np.asarray(candidate)[None])[0]
        return {block.name: dict(block.options[choice].fields) for block, choice in zip(self.blocks, row, strict=True)}

    def encode(self, choices: Mapping[str, Mapping[str, Any]] | Sequence[Mapping[str, Any]]) -> Candidates:
        """The candidate (blocks,) that `decode` would describe so.

        Raises
        ------
        UsageError
            If a block is missing or has no such option: says which there are for the nearest fields.
        """
        named = choices if isinstance(choices, Mapping) else {block.name: fields for block, fields in zip(self.blocks, choices, strict=False)}
        for name in named:
            if name not in {block.name for block in self.blocks}:
                raise unknown(f"block of {self.name}", name, [block.name for block in self.blocks])
        return np.array([_position(self.name, block, named.get(block.name)) for block in self.blocks], dtype=np.int64)


def _position(space: str, block: Block, fields: Mapping[str, Any] | None) -> int:
    if fields is None:
        raise UsageError(f"{space}: nothing is chosen for block {block.name!r}")
    for number, option in enumerate(block.options):
        if dict(option.fields) == dict(fields):
            return number
    near = max(block.options, key=lambda option: len(set(map(repr, option.fields)) & set(map(repr, fields.items()))))
    raise UsageError(f"block {block.name!r} of {space} has no option {dict(fields)}; one of its {len(block.options)} is {dict(near.fields)}")


def _lasting(layer: Layer) -> str:
    """A name of a layer that means the same tomorrow."""
    shown = f"{layer.__module__}.{layer.__qualname__}" if hasattr(layer, "__qualname__") else repr(layer)
    if " at 0x" in shown or "<l" in shown:
        raise UsageError(f"layer {shown} has no lasting name, so files could not tell spaces apart: make it a named tuple with __call__")
    return shown
