"""How many layers of each kind the zoo's networks have, and their Keras totals, against the released networks.

The counts of timm, torchvision and pytorchcv were made on device meta.
"""

from __future__ import annotations

from functools import cache

import pytest

from costmodel import zoo
from costmodel.graph import Graph
from costmodel.work import WorkKind
from costmodel.zoo import Options, efficientnet, efficientnetv2

TIMM, TORCHVISION, PYTORCHCV = "timm 1.0.31", "torchvision 0.28.0", "pytorchcv 0.0.74"

# name, convolutions, batch norms, linear layers, source
LAYERS = (
    ("efficientnet-b0", 81, 49, 1, TIMM),
    ("efficientnet-b1", 115, 69, 1, TIMM),
    ("efficientnet-b2", 115, 69, 1, TIMM),
    ("efficientnet-b3", 130, 78, 1, TIMM),
    ("efficientnet-b4", 160, 96, 1, TIMM),
    ("efficientnet-b5", 194, 116, 1, TIMM),
    ("efficientnet-b6", 224, 134, 1, TIMM),
    ("efficientnet-b7", 273, 163, 1, TIMM),
    ("efficientnet-b8", 303, 181, 1, TIMM),
    ("efficientnet-l2", 436, 260, 1, TIMM),
    ("efficientnet-lite0", 49, 49, 1, TIMM),
    ("efficientnet-lite4", 91, 91, 1, TIMM),
    ("mobilenet-v1", 27, 27, 1, TIMM),
    ("mobilenet-v2", 52, 52, 1, TIMM),
    ("mobilenet-v3-large", 62, 46, 2, TORCHVISION),
    ("mobilenet-v3-small", 52, 34, 2, TORCHVISION),
    ("resnet-18", 20, 20, 1, TORCHVISION),
    ("resnet-34", 36, 36, 1, TORCHVISION),
    ("resnet-50", 53, 53, 1, TORCHVISION),
    ("resnet-101", 104, 104, 1, TORCHVISION),
    ("resnet-152-v1", 155, 155, 1, PYTORCHCV),
    ("wide-resnet-50-2", 53, 53, 1, TIMM),
    ("se-resnext-50-32x4d", 85, 53, 1, TIMM),
    ("senet-154", 257, 157, 1, TIMM),
    ("resnest-50", 87, 71, 1, TIMM),
    ("inception-v3", 94, 94, 1, TIMM),
    ("inception-resnet-v2", 244, 204, 1, TIMM),
    ("xception-41", 84, 84, 1, TIMM),
    ("xception-71", 146, 146, 1, TIMM),
    ("swin-l", 1, 0, 100, TIMM),
    ("vit-b-16", 1, 0, 49, TIMM),
    ("vit-l-16", 1, 0, 97, TIMM),
)

#: Total of the Keras model: parameters and the mean and variance of every normalised channel.
KERAS_TOTALS = {
    "efficientnet-b0": 5_330_564,
    "efficientnet-b1": 7_856_232,
    "efficientnet-b2": 9_177_562,
    "efficientnet-b3": 12_320_528,
    "efficientnet-b4": 19_466_816,
    "efficientnet-b5": 30_562_520,
    "efficientnet-b6": 43_265_136,
    "efficientnet-b7": 66_658_680,
    "efficientnet-b8": 87_793_174,
    "efficientnet-l2": 481_399_996,
    "efficientnet-lite0": 4_694_024,
    "efficientnet-lite4": 13_118_936,
    "mobilenet-v1": 4_253_864,
    "mobilenet-v2": 3_538_984,
    "mobilenet-v3-large": 5_507_432,
    "mobilenet-v3-small": 2_554_968,
    "resnet-50": 25_610_152,
    "xception": 22_910_480,
}

CONVOLUTIONS = {WorkKind.CONVOLUTION, WorkKind.POINTWISE, WorkKind.DEPTHWISE, WorkKind.GROUPED}


@cache
def built(name: str) -> Graph:
    return zoo.build(name)


def count(graph: Graph, kinds: set[WorkKind]) -> int:
    return sum(node.work.kind in kinds for node in graph.nodes)


@pytest.mark.parametrize(("name", "convolutions", "norms", "linears", "source"), LAYERS, ids=[row[0] for row in LAYERS])
def test_layers(name: str, convolutions: int, norms: int, linears: int, source: str) -> None:
    graph = built(name)
    found = (count(graph, CONVOLUTIONS), count(graph, {WorkKind.BATCH_NORM}), count(graph, {WorkKind.LINEAR}))
    assert found == (convolutions, norms, linears), source


def normalised(graph: Graph) -> int:
    """Channels of all batch norms; each has a running mean and variance besides its parameters."""
    return sum(node.inputs[0].shape[1] for node in graph.nodes if node.work.kind is WorkKind.BATCH_NORM)


@pytest.mark.parametrize(("name", "total"), KERAS_TOTALS.items())
def test_keras_totals(name: str, total: int) -> None:
    graph = built(name)
    assert graph.parameters + 2 * normalised(graph) == total


def test_keras_normalises_inception_v3_without_learned_scales() -> None:
    graph = built("inception-v3")
    assert graph.parameters - normalised(graph) + 2 * normalised(graph) == 23_851_784


def test_the_keras_total_of_b3_in_the_repository_of_efficientnetv2() -> None:
    """It rounds the first stage's 19.2 channels to 16, where EfficientNet's own code takes 24."""
    options = Options(name="b3", resolution=(300, 300))
    graph = efficientnet.efficientnet(options, efficientnet.SCALINGS["b3"], rounding=efficientnetv2.nearest)
    assert graph.parameters + 2 * normalised(graph) == 12_314_268
