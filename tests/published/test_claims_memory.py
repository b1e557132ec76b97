"""MobileNetV2, arXiv 1801.04381, Table 3: channels and bytes that must exist at each resolution, 16-bit activations."""

from __future__ import annotations

import pytest

from costmodel import zoo
from costmodel.memory import largest_materialised
from costmodel.tensor import DType


def channels(network: str) -> dict[int, int]:
    """Channels of the largest image that must exist, by its height."""
    sizes = largest_materialised(zoo.build(network), DType.FP16)
    return {height: size // (2 * height * width) for (height, width), size in sizes.items()}


def test_mobilenet_v1_has_the_printed_channels() -> None:
    printed = {56: 128, 28: 256, 14: 512, 7: 1024, 1: 1024}
    found = channels("mobilenet-v1")
    assert {height: found[height] for height in printed} == printed


def test_mobilenet_v1_needs_800_kb() -> None:
    # the paper leaves the resolution of the first layer out (footnote: it is computed in pieces)
    largest = max(size for (height, _), size in largest_materialised(zoo.build("mobilenet-v1"), DType.FP16).items() if height < 112)
    assert largest == 128 * 56 * 56 * 2
    assert largest == pytest.approx(800e3, rel=0.01)


def test_the_inside_of_an_inverted_bottleneck_need_not_exist() -> None:
    # ends of the bottlenecks: 16, 24, 32, 96; the insides have 96 at 112, 144 at 56, 192 at 28 and 576 at 14
    found = channels("mobilenet-v2")
    assert {height: found[height] for height in (112, 56, 28, 14)} == {112: 16, 56: 24, 28: 32, 14: 96}


def test_printed_channels_of_mobilenet_v2_are_those_one_resolution_further_on() -> None:
    """Known gap: the table prints 32, 64, 160 at 56, 28, 14; the blocks that *read* 56, 28, 14 write them at 28, 14, 7.

    Table 2 of the same paper lists blocks by the size of their input. So 200K for what takes 147 KiB.
    """
    graph = zoo.build("mobilenet-v2")
    ends = {(node.outputs[0].shape[2], node.outputs[0].shape[1]) for node in graph.nodes if node.name.endswith("project")}
    for height, printed in ((56, 32), (28, 64), (14, 160)):
        assert (height, printed) not in ends
        assert (height // 2, printed) in ends
    assert largest_materialised(graph, DType.FP16)[56, 56] == 24 * 56 * 56 * 2


def test_printed_channels_of_shufflenet_are_those_of_two_groups() -> None:
    """Known gap: the column says 2x g=3 and prints 400, 800, 1600, which ShuffleNet's own Table 1 has for g=2; g=3 has 480, 960, 1920."""
    two, three = channels("shufflenet-v1-2.0-g2"), channels("shufflenet-v1-2.0-g3")
    assert [two[height] for height in (28, 14, 7)] == [400, 800, 1600]
    assert [three[height] for height in (28, 14, 7)] == [480, 960, 1920]


@pytest.mark.parametrize("network", ["resnet-50", "vgg-16", "vit-b-16", "efficientnet-b0"])
def test_any_network_has_materialised_images_no_larger_than_its_largest(network: str) -> None:
    graph = zoo.build(network)
    largest = max(spec.numel for node in graph.nodes for spec in node.outputs if len(spec.shape) == 4)
    assert 0 < max(largest_materialised(graph, DType.FP32).values()) <= 4 * largest
