"""What is measured: single operators whose shapes are drawn as networks have them, and whole networks as anchors.

Channels are drawn log-uniformly, one in five of them odd; images have the sizes that powers of two and usual strides leave of 224 to 320 pixels, and a batch
of one. Linear layers have one row (classifiers, squeeze-and-excitation) or as many as a transformer has tokens, and some run as 1x1 convolutions of one pixel.
The same seed draws the same plan.
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from costmodel import zoo
from costmodel.graph import Graph, GraphBuilder, Value
from costmodel.operator import Operator
from costmodel.ops.arithmetic import Add, Multiply
from costmodel.ops.attention import ScaledDotProductAttention, Softmax
from costmodel.ops.blocks import ChannelShuffle
from costmodel.ops.convolution import Conv2d, DepthwiseConv2d, GroupedConv2d
from costmodel.ops.elementwise import GELU, HardSigmoid, HardSwish, ReLU, ReLU6, Sigmoid, SiLU
from costmodel.ops.layout import Concat
from costmodel.ops.matmul import Linear, MatMul
from costmodel.ops.normalisation import BatchNorm, GroupNorm, LayerNorm
from costmodel.ops.padding import Pad
from costmodel.ops.pooling import AvgPool2d, MaxPool2d, Mean
from costmodel.tensor import TensorSpec

#: What is fitted, what corrects the fit, networks that tell what the host takes to issue a kernel, and operators that tell what a start after others takes.
Role = Literal["operator", "anchor", "host", "start"]

#: Networks of different families, for what a sum of operators misses: few and cheap enough to run often. None of them is what a report judges by.
ANCHORS = (
    "resnet-18",
    "mobilenet-v2",
    "mobilenet-v3-small",
    "squeezenet-1.1",
    "shufflenet-v2-1.0",
    "efficientnet-b0",
    "vit-s-32",
    "densenet-121",
    "regnet-x-400mf",
)
QUICK_ANCHORS = ("resnet-18", "mobilenet-v2", "mobilenet-v3-small", "vit-s-32", "regnet-x-400mf")
#: Sides of images: 224 to 320 pixels after up to five strides of 2.
_SIDES = (7, 8, 10, 14, 15, 16, 20, 28, 30, 32, 40, 56, 60, 64, 80, 112, 128, 160)
#: Bytes that an operator's tensors may take: larger ones are bound by memory as the largest here are, and take long.
_MOST_BYTES = 96 << 20
#: Multiply-accumulates at most: a second's work would say no more.
_MOST_MACS = 2e9
#: A GPU's operators run at one of these batches, its anchors at all of the others that memory holds: below a batch of 8 most of it idles.
_GPU_BATCHES = (1, 8, 32, 64)
_GPU_ANCHOR_BATCHES = (1, 32, 256)
_GPU_MOST_BYTES, _GPU_MOST_MACS = 1 << 30, 2e11
#: Room for what a network keeps besides its largest operator's tensors, as a multiple of those.
_ROOM = 4
#: Tokens of vision transformers: 7x7 windows, 14x14 and 16x16 patches with a class token, a language model's.
_TOKENS = (49, 50, 64, 128, 196, 197, 257)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A graph to measure. `family` is what is held out together: the operator's class, or the network."""

    name: str
    family: str
    role: Role
    graph: Graph = field(repr=False)


Draw = Callable[[random.Random], tuple[Operator, list[tuple[int, ...]]]]


def plan(*, quick: bool = False, seed: int = 0) -> tuple[Case, ...]:
    """The cases, operators first; `quick` takes a third of them and fewer anchors."""
    return (*operator_cases(quick=quick, seed=seed), *anchor_cases(QUICK_ANCHORS if quick else ANCHORS))


def gpu_plan(memory_bytes: int, *, quick: bool = False, seed: int = 0) -> tuple[Case, ...]:
    """The cases of a GPU with so much memory: operators and anchors in batches, and the anchors once more as the host issues them, kernel by kernel."""
    found = []
    for case in operator_cases(quick=quick, seed=seed):
        batches = list(_GPU_BATCHES)
        random.Random(f"{seed} {case.name}").shuffle(batches)
        graphs = (case.graph.with_batch(batch) for batch in batches)
        fits = (graph for graph in graphs if tensor_bytes(graph) <= min(_GPU_MOST_BYTES, memory_bytes // _ROOM) and graph.macs <= _GPU_MOST_MACS)
        found.append(dataclasses.replace(case, graph=next(fits, case.graph)))
    networks = QUICK_ANCHORS if quick else ANCHORS
    for network in networks:
        graph = zoo.build(network)
        for batch in _GPU_ANCHOR_BATCHES:
            batched = graph.with_batch(batch)
            if batch == 1 or _ROOM * tensor_bytes(batched) <= memory_bytes:
                found.append(Case(name=f"{network}, batch {batch}", family=network, role="anchor", graph=batched))
    hosts = [Case(name=f"{network}, issued", family=network, role="host", graph=zoo.build(network)) for network in networks]
    return (*found, *hosts)


def tensor_bytes(graph: Graph) -> int:
    """Bytes of the tensors and parameters of the operator that has most of them, in fp32."""
    return max(4 * (sum(spec.numel for spec in (*node.inputs, *node.outputs)) + node.work.parameters) for node in graph.nodes)


def anchor_cases(networks: tuple[str, ...]) -> Iterator[Case]:
    """Whole networks of the zoo."""
    for network in networks:
        yield Case(name=network, family=network, role="anchor", graph=zoo.build(network))


def operator_cases(*, quick: bool = False, seed: int = 0) -> Iterator[Case]:
    """Single operators, in an order that mixes classes, so that an interruption leaves some of each."""
    drawn: list[tuple[float, Case]] = []
    for family, (count, draw) in _CLASSES.items():
        generator = random.Random(f"{seed} {family}")
        wanted = max(3, round(count / 3)) if quick else count
        for number in range(wanted):
            drawn.append(((number + 0.5) / wanted, Case(name=f"{family}-{number:02}", family=family, role="operator", graph=_drawn(generator, family, draw))))
    yield from (case for _, case in sorted(drawn, key=lambda pair: pair[0]))


#: Operators of the second of `entry_cases`.
ENTRY_CHAIN = 9


def entry_cases() -> tuple[Case, Case]:
    """Next to nothing, once and `ENTRY_CHAIN` times: what a runtime takes for a call of a model, whatever is in it, is once less an operator of the second."""
    builder = GraphBuilder("entry-chain")
    value: Value = builder.input("x", TensorSpec((1, 8, 1, 1)))
    for _ in range(ENTRY_CHAIN):
        value = builder.add(ReLU(), value)
    graphs = {"entry": single("entry", ReLU(), [(1, 8, 1, 1)]), "entry-chain": builder.build(value)}
    once, chain = (Case(name=name, family=name, role="operator", graph=graph) for name, graph in graphs.items())
    return once, chain


def entry_seconds(seconds: Mapping[str, float]) -> float:
    """Seconds of a call of a model from those of `entry_cases`.

    Examples
    --------
    >>> round(entry_seconds({"entry": 9e-6, "entry-chain": 33e-6}), 9)
    6e-06
    """
    once, chain = seconds["entry"], seconds["entry-chain"]
    return max(0.0, once - max(0.0, chain - once) / (ENTRY_CHAIN - 1))


def _drawn(generator: random.Random, family: str, draw: Draw) -> Graph:
    """The first graph drawn that is of a size worth measuring."""
    while True:
        graph = single(family, *draw(generator))
        if tensor_bytes(graph) <= _MOST_BYTES and graph.macs <= _MOST_MACS:
            return graph


def single(name: str, operator: Operator, shapes: list[tuple[int, ...]]) -> Graph:
    """A network of one operator on inputs of these shapes."""
    builder = GraphBuilder(name)
    inputs: list[Value] = [builder.input(f"x{number}", TensorSpec(shape)) for number, shape in enumerate(shapes)]
    return builder.build(builder.add(operator, *inputs))


def _channels(r: random.Random, low: int = 16, high: int = 1024) -> int:
    """Log-uniform; four of five are multiples of 8."""
    value = round(low * math.exp(math.log(high / low) * r.random()))
    return value if r.random() < 0.2 else max(8, 8 * round(value / 8))


def _image(r: random.Random, low: int = 16, high: int = 1024) -> tuple[int, int, int, int]:
    """An image with fewer channels the larger it is, as networks have."""
    side = r.choice(_SIDES)
    highest = max(low + 16, min(high, 16384 // side))
    return (1, _channels(r, low, highest), side, side)


def _pointwise(r: random.Random) -> tuple[Operator, list[tuple[int, ...]]]:
    image = _image(r, 16, 2048)
    out = max(8, min(2560, 8 * round(image[1] * 6 ** r.uniform(-1, 1) / 8)))
    stride = 2 if r.random() < 0.12 else 1
    return Conv2d(out, (1, 1), (stride, stride)), [image]


def _pixel(r: random.Random) -> tuple[Operator, list[tuple[int, ...]]]:
    """A linear layer as a convolution of one pixel: squeeze-and-excitation, fully convolutional classifiers."""
    channels, out = _channels(r, 16, 2048), _channels(r, 8, 1280)
    return Conv2d(out, (1, 1), bias=True), [(1, channels, 1, 1)]


def _dense(r: random.Random) -> tuple[Operator, list[tuple[int, ...]]]:
    image = _image(r, 16, 512)
    size = r.choice((3, 3, 3, 3, 5, 7))
    out = max(8, min(768, 8 * round(image[1] * 2 ** r.uniform(-0.6, 1) / 8)))
    stride = 2 if r.random() < 0.25 else 1
    return Conv2d(out, (size, size), (stride, stride), padding=(size // 2,) * 4), [image]


def _stem(r: random.Random) -> tuple[Operator, list[tuple[int, ...]]]:
    side, size = r.choice((160, 192, 224, 224, 240, 256)), r.choice((3, 3, 3, 4, 7, 16))
    stride = size if size in (4, 16) else r.choice((2, 2, 2, 1))
    padding = (0,) * 4 if size in (4, 16) else (size // 2,) * 4
    return Conv2d(_channels(r, 16, 64 if size < 16 else 768), (size, size), (stride, stride), padding=(padding[0], padding[1], padding[2], padding[3])), [
        (1, 3, side, side)
    ]


def _depthwise(r: random.Random) -> tuple[Operator, list[tuple[int, ...]]]:
    size = r.choice((3, 3, 3, 5, 5, 7))
    stride = 2 if r.random() < 0.3 else 1
    return DepthwiseConv2d((size, size), (stride, stride), (size // 2,) * 4), [_image(r, 16, 1536)]


def _grouped(r: random.Random) -> tuple[Operator, list[tuple[int, ...]]]:
    width, groups, side = r.choice((4, 8, 16, 16, 24, 32, 48)), r.choice((2, 4, 8, 14, 32)), r.choice(_SIDES[:14])
    stride = 2 if r.random() < 0.2 else 1
    return GroupedConv2d(width * groups, groups, (3, 3), (stride, stride), (1,) * 4), [(1, width * groups, side, side)]


def _classifier(r: random.Random) -> tuple[Operator, list[tuple[int, ...]]]:
    return Linear(_channels(r, 16, 4096)), [(1, _channels(r, 32, 8192))]


def _spilled(r: random.Random) -> tuple[Operator, list[tuple[int, ...]]]:
    """A classifier whose weights no cache keeps: VGG's first has 411 MB, these some tens."""
    inputs = r.choice((4096, 9216, 12544, 25088))
    return Linear(round(r.uniform(30, 90) * 2**20 / 4 / inputs)), [(1, inputs)]


def _tokens(r: random.Random) -> tuple[Operator, list[tuple[int, ...]]]:
    width = _channels(r, 96, 1024)
    out = max(8, 8 * round(width * r.choice((0.25, 1, 1, 3, 4)) / 8))
    return Linear(out), [(1, r.choice(_TOKENS), width)]


def _attention(r: random.Random) -> tuple[Operator, list[tuple[int, ...]]]:
    heads, depth = r.choice((3, 4, 6, 8, 12, 16)), r.choice((32, 64, 64, 80))
    shape = (1, heads, r.choice(_TOKENS), depth)
    return ScaledDotProductAttention(), [shape, shape, shape]


def _product(r: random.Random) -> tuple[Operator, list[tuple[int, ...]]]:
    heads, rows, depth = r.choice((3, 6, 8, 12)), r.choice(_TOKENS), r.choice((32, 64))
    if r.random() < 0.5:
        return MatMul(), [(1, heads, rows, depth), (1, heads, depth, rows)]
    return MatMul(), [(1, heads, rows, rows), (1, heads, rows, depth)]


def _unary(*operators: Operator) -> Draw:
    return lambda r: (r.choice(operators), [_image(r)])


def _of_tokens(operator: Operator) -> Draw:
    return lambda r: (operator, [(1, r.choice(_TOKENS), _channels(r, 96, 1024))])


def _wide(operator: Operator) -> Draw:
    return lambda r: (operator, [(1, r.choice(_TOKENS), 4 * _channels(r, 96, 768))])


def _twice(operator: Operator) -> Draw:
    def draw(r: random.Random) -> tuple[Operator, list[tuple[int, ...]]]:
        image = _image(r)
        return operator, [image, image]

    return draw


def _gate(r: random.Random) -> tuple[Operator, list[tuple[int, ...]]]:
    image = _image(r)
    return Multiply(), [image, (1, image[1], 1, 1)]


def _softmax(r: random.Random) -> tuple[Operator, list[tuple[int, ...]]]:
    tokens = r.choice(_TOKENS)
    return Softmax(), [(1, r.choice((3, 6, 8, 12)), tokens, tokens)]


def _max_pool(r: random.Random) -> tuple[Operator, list[tuple[int, ...]]]:
    size, stride = r.choice(((2, 2), (3, 2), (3, 2), (3, 1)))
    return MaxPool2d((size, size), (stride, stride), (size // 2 if size == 3 else 0,) * 4), [_image(r, 16, 512)]


def _average_pool(r: random.Random) -> tuple[Operator, list[tuple[int, ...]]]:
    size, stride = r.choice(((2, 2), (3, 1), (3, 2)))
    return AvgPool2d((size, size), (stride, stride)), [_image(r, 16, 512)]


def _concat(r: random.Random) -> tuple[Operator, list[tuple[int, ...]]]:
    image = _image(r, 16, 512)
    return Concat(), [image, *([(1, _channels(r, 16, 256), *image[2:])] * r.choice((1, 1, 3)))]


def _shuffle(r: random.Random) -> tuple[Operator, list[tuple[int, ...]]]:
    _, channels, height, width = _image(r, 32, 512)
    return ChannelShuffle(2), [(1, 2 * max(1, channels // 2), height, width)]


#: Class of operators -> (how many in a full plan, what draws one).
_CLASSES: dict[str, tuple[int, Draw]] = {
    "pointwise": (42, _pointwise),
    "pixel": (15, _pixel),
    "dense": (42, _dense),
    "stem": (9, _stem),
    "depthwise": (36, _depthwise),
    "grouped": (15, _grouped),
    "classifier": (15, _classifier),
    "spilled": (6, _spilled),
    "tokens": (21, _tokens),
    "attention": (12, _attention),
    "product": (9, _product),
    "rectifier": (12, _unary(ReLU(), ReLU6())),
    "hard": (9, _unary(HardSwish(), HardSigmoid())),
    "sigmoid": (12, _unary(SiLU(), Sigmoid())),
    "gelu": (9, _wide(GELU())),
    "add": (12, _twice(Add())),
    "gate": (9, _gate),
    "batch-norm": (15, _unary(BatchNorm())),
    "group-norm": (6, lambda r: (GroupNorm(8), [(1, 8 * _channels(r, 4, 64), *[r.choice(_SIDES[:14])] * 2)])),
    "layer-norm": (9, _of_tokens(LayerNorm())),
    "softmax": (9, _softmax),
    "max-pool": (9, _max_pool),
    "average-pool": (6, _average_pool),
    "global-pool": (9, _unary(Mean())),
    "concat": (9, _concat),
    "shuffle": (6, _shuffle),
    "pad": (6, lambda r: (Pad((0, 1, 0, 1)), [_image(r)])),
}
