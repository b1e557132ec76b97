"""Networks of torchvision and timm with random weights against ours with the same weights: the outputs are equal.

Needs both libraries without what they depend on (torchvision's compiled part stays unused):
pip install --no-deps timm==1.0.31 torchvision==0.28.0
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import pytest
import torch

from costmodel import reference, zoo
from tests.peers import randomise

pytestmark = [pytest.mark.torch, pytest.mark.peers]

#: Largest difference over the largest output.
TOLERANCE = 1e-4


class Case(NamedTuple):
    """Our network, the peer's with its options, and the padding of the peer's weights."""

    ours: str
    peer: str
    options: dict[str, Any] = {}  # noqa: RUF012  # never changed
    padding: Literal["same", "symmetric"] = "symmetric"
    mapping: dict[str, str] = {}  # noqa: RUF012  # never changed


#: torchvision's RegNet computes a block's shortcut first; timm's and ours last.
SHORTCUTS_FIRST = {
    f"stages.{stage}.0.shortcut{ours}": f"trunk_output.block{stage + 1}.block{stage + 1}-0.proj.{theirs}"
    for stage in range(4)
    for ours, theirs in (("", 0), ("_norm", 1))
}
CASES = (
    Case("resnet-18@64", "torchvision:resnet18"),
    Case("resnet-18@64", "timm:resnet18"),
    Case("resnet-50@64", "torchvision:resnet50"),
    Case("resnext-50-32x4d@64", "timm:resnext50_32x4d"),
    Case("wide-resnet-50-2@64", "torchvision:wide_resnet50_2"),
    Case("se-resnext-50-32x4d@64", "timm:seresnext50_32x4d"),
    Case("senet-154@64", "timm:legacy_senet154"),
    Case("resnest-50@64", "timm:resnest50d"),
    Case("vgg-16@32", "torchvision:vgg16", {"init_weights": False}),
    Case("googlenet-bn@96", "torchvision:googlenet", {"aux_logits": False, "init_weights": False}),
    Case("densenet-121@64", "torchvision:densenet121"),
    Case("mobilenet-v1@64", "timm:mobilenetv1_100"),
    Case("mobilenet-v2@64", "torchvision:mobilenet_v2"),
    Case("mobilenet-v3-large@64", "torchvision:mobilenet_v3_large"),
    Case("mobilenet-v3-small@75", "timm:tf_mobilenetv3_small_100", padding="same"),
    Case("mnasnet-b1@64", "torchvision:mnasnet1_0"),
    Case("mnasnet-a1@64", "timm:semnasnet_100"),
    Case("efficientnet-b0@64", "torchvision:efficientnet_b0"),
    Case("efficientnet-b0@64", "timm:tf_efficientnet_b0", padding="same"),
    Case("efficientnet-b0@75", "timm:tf_efficientnet_b0", padding="same"),
    Case("efficientnet-lite0@64", "timm:tf_efficientnet_lite0", padding="same"),
    Case("efficientnet-edgetpu-s@64", "timm:tf_efficientnet_es", padding="same"),
    Case("efficientnetv2-s@64", "torchvision:efficientnet_v2_s"),
    Case("efficientnetv2-s@75", "timm:tf_efficientnetv2_s", padding="same"),
    Case("shufflenet-v2-1.0@64", "torchvision:shufflenet_v2_x1_0"),
    Case("ghostnet@64", "timm:ghostnet_100"),
    Case("squeezenet-1.1@96", "torchvision:squeezenet1_1"),
    Case("inception-v3@139", "torchvision:inception_v3", {"init_weights": False}),
    Case("inception-v4@139", "timm:inception_v4"),
    Case("inception-resnet-v2@139", "timm:inception_resnet_v2"),
    Case("xception@96", "timm:legacy_xception"),
    Case("xception-41@75", "timm:xception41"),
    Case("vit-b-16@64", "torchvision:vit_b_16", {"image_size": 64}),
    Case("vit-b-16@64", "timm:vit_base_patch16_224", {"img_size": 64}),
    Case("vit-s-32@64", "timm:vit_small_patch32_224", {"img_size": 64}),
    Case("deit-ti@64", "timm:deit_tiny_patch16_224", {"img_size": 64}),
    Case("swin-t@112", "torchvision:swin_t"),
    Case("swin-t@224", "timm:swin_tiny_patch4_window7_224"),
    Case("convnext-t@64", "torchvision:convnext_tiny"),
    Case("convnext-t@64", "timm:convnext_tiny"),
    Case("mobilevit-xxs@64", "timm:mobilevit_xxs"),
    Case("regnet-x-400mf@64", "timm:regnetx_004"),
    Case("regnet-y-400mf@64", "timm:regnety_004"),
    Case("regnet-y-400mf@64", "torchvision:regnet_y_400mf", mapping=SHORTCUTS_FIRST),
    Case("fcn-resnet-50@64", "torchvision:segmentation.fcn_resnet50", {"weights_backbone": None}),
    Case("deeplabv3-resnet-50@64", "torchvision:segmentation.deeplabv3_resnet50", {"weights_backbone": None}),
    Case("deeplabv3-mobilenet-v3-large@96", "torchvision:segmentation.deeplabv3_mobilenet_v3_large", {"weights_backbone": None}),
    Case("lraspp-mobilenet-v3-large-torchvision@96", "torchvision:segmentation.lraspp_mobilenet_v3_large", {"weights_backbone": None}),
)


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.ours}-{case.peer}")
def test_outputs_equal_those_of_the_peer(case: Case, peer_network: Callable[..., Any], record_property: Callable[[str, object], None]) -> None:
    peer = peer_network(case.peer, **case.options)
    randomise(peer)
    graph = zoo.build(case.ours, batch=2, padding=case.padding)
    images = torch.randn(graph.inputs["image"].shape, generator=torch.Generator().manual_seed(1))
    weights = reference.weights_from_module(graph, peer, [images], mapping=case.mapping)
    with torch.no_grad():
        expected = peer(images)
    if isinstance(expected, dict):
        expected = expected["out"]  # of torchvision's segmentations
    (found,) = reference.execute(graph, [images], weights)
    largest = expected.abs().max()
    difference = float((found - expected).abs().max() / largest)
    record_property("relative difference", difference)
    assert (expected[0] - expected[1]).abs().max() > 0.01 * largest  # the output depends on the image: equality means something
    assert difference < TOLERANCE
