"""A small space for small images, such as scikit-learn's digits: what a space of one's own looks like.

Three stages of 32, 48 and 64 channels at most; each chooses convolution, kernel, expansion, width and layers. The second and the third halve the image.
"""

from __future__ import annotations

from itertools import product

from costmodel.search._space import Block, Layer, Option, Space
from costmodel.search.layers import Classifier, Conv, FusedMBConv, MBConv


def _layer(convolution: str, channels: int, kernel: int, stride: int, expansion: int) -> Layer:
    made: dict[str, Layer] = {
        "plain": Conv(channels, kernel, stride),
        "fused": FusedMBConv(channels, kernel, stride, expansion, "relu"),
        "mbconv": MBConv(channels, kernel, stride, expansion, "relu"),
    }
    return made[convolution]


def _block(name: str, channels: int, stride: int) -> Block:
    found = []
    for convolution, kernel, expansion, width, layers in product(("plain", "fused", "mbconv"), (3, 5), (2, 4), (0.25, 0.5, 1.0), (1, 2)):
        if convolution == "plain" and expansion != 2:
            continue  # nothing expands
        made = tuple(_layer(convolution, int(channels * width), kernel, stride if number == 0 else 1, expansion) for number in range(layers))
        fields = {"convolution": convolution, "kernel_size": kernel, "expansion": expansion if convolution != "plain" else 1, "width": width, "layers": layers}
        found.append(Option(made, tuple(fields.items())))
    return Block(name=name, options=tuple(found))


def make() -> Space:
    """The space at the digits' 8x8 pixels, one channel and 10 classes."""
    return Space(
        name="small-images",
        resolution=(8, 8),
        channels=1,
        stem=(Conv(8, 3),),
        blocks=tuple(_block(f"stage{number}", channels, stride) for number, (channels, stride) in enumerate(((32, 1), (48, 2), (64, 2)), start=1)),
        head=(Classifier(64, 10, dropout=False),),
    )
