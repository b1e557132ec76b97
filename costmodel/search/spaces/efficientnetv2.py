"""EfficientNetV2's stage-based space (arXiv 2104.00298, section 3.3): Fused-MBConv or MBConv, kernel, expansion and layers of each stage.

Convolution {MBConv, Fused-MBConv}, kernel {3, 5}, expansion {1, 4, 6}. The paper names the number of layers as a choice, not its range: here up
to twice EfficientNetV2-S's, in quarters. Channels, strides and squeeze-and-excitation (MBConv only, a quarter of the input)
are EfficientNetV2-S's (Table 4), since the paper takes channels from the backbone's own search.
"""

from __future__ import annotations

from itertools import product

from costmodel.search._space import Block, Layer, Option, Space
from costmodel.search.layers import Classifier, Conv, FusedMBConv, MBConv
from costmodel.zoo.efficientnetv2 import HEAD, VARIANTS, Stage


def _layer(convolution: str, channels: int, kernel: int, stride: int, expansion: int) -> Layer:
    if convolution == "fused":
        return FusedMBConv(channels, kernel, stride, expansion)
    return MBConv(channels, kernel, stride, expansion, "silu", 0.25)


def _depths(stage: Stage) -> tuple[int, ...]:
    return tuple(sorted({max(1, round(stage.repeats * quarters / 4)) for quarters in range(1, 9)}))


def _options(stage: Stage) -> tuple[Option, ...]:
    found = []
    for convolution, kernel, expansion, layers in product(("mbconv", "fused"), (3, 5), (1, 4, 6), _depths(stage)):
        made = tuple(_layer(convolution, stage.channels, kernel, stage.stride if number == 0 else 1, expansion) for number in range(layers))
        fields = {"convolution": convolution, "kernel_size": kernel, "expansion": expansion, "layers": layers}
        found.append(Option(made, tuple(fields.items())))
    return tuple(found)


def make() -> Space:
    """The space at EfficientNetV2-S's resolution of evaluation."""
    small = VARIANTS["s"]
    return Space(
        name="efficientnetv2",
        resolution=(small.resolution, small.resolution),
        stem=(Conv(small.stem, 3, 2, "silu"),),
        blocks=tuple(Block(name=f"stage{number}", options=_options(stage)) for number, stage in enumerate(small.stages, start=1)),
        head=(Classifier(HEAD, activation="silu"),),
        source="arXiv:2104.00298 section 3.3",
    )
