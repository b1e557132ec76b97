"""Published accuracies: each of the very network that it stands beside, and which networks have none."""

from __future__ import annotations

import pytest

from costmodel import zoo

#: Network -> its accuracy in percent and its parameters, both as the library's weights are described:
#: pytorchcv 0.0.74's README, and the metadata of torchvision 0.28.0's weights.
LIBRARIES = {
    "preresnet-18": (100 - 28.43, 11_687_848),
    "preresnet-34": (100 - 24.89, 21_796_008),
    "preresnet-50": (100 - 22.51, 25_549_480),
    "preresnet-101": (100 - 21.04, 44_541_608),
    "preresnet-152": (100 - 19.23, 60_185_256),
    "preresnet-200": (100 - 19.07, 64_666_280),
    "proxylessnas-cpu": (100 - 24.71, 4_361_648),
    "proxylessnas-gpu": (100 - 24.79, 7_119_848),
    "proxylessnas-mobile": (100 - 25.41, 4_080_512),
    "resnet-50-v1": (100 - 22.28, 25_557_032),
    "resnet-101-v1": (100 - 20.79, 44_549_160),
    "resnet-152-v1": (100 - 19.29, 60_192_808),
    "vit-h-14": (85.708, 632_045_800),
    "vit-h-14@518": (88.552, 633_470_440),
    "vit-l-32": (76.972, 306_535_400),
    "lraspp-mobilenet-v3-large-torchvision": (57.9, 3_221_538),
    "ssdlite-mobilenet-v3-large-torchvision": (21.3, 3_440_060),
}

_NOT_EVALUATED = "its source gives counts and speed only"
#: Networks without a published accuracy, and why.
WITHOUT = {
    "amoebanet-d": _NOT_EVALUATED,
    "coatnet-0": "timm has trained its own form alone, coatnet-0-rw",
    **dict.fromkeys(("espnet-q5", "espnet-q3", "espnet-c", "espnet-c-q5", "espnet-c-q3", "espnetv2-seg-1.25"), "no figure was found for this variant"),
    "espnetv2-lm": "a language model: perplexity is no accuracy in percent",
    **dict.fromkeys(("hourglass-1", "hourglass-2", "hourglass-8"), "poses: the share of correct keypoints is none of the metrics"),
    **dict.fromkeys(("lenet-5", "lenet-5-dense", "lenet-5-caffe", "lenet-300-100"), "digits, not ImageNet"),
    **dict.fromkeys((f"shufflenet-v1-{width}-g{groups}" for width in (1.5, 2.0) for groups in (1, 2, 4)), "only 3 and 8 groups were published at this width"),
}


def test_networks_without_an_accuracy_are_known() -> None:
    assert {name for name, found in zoo.architectures().items() if not found.accuracies} == set(WITHOUT)


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_librarys_accuracy_is_of_the_network_that_it_stands_beside(name: str) -> None:
    percent, parameters = LIBRARIES[name]
    request = zoo.find(name)
    height, _ = request.resolution or request.architecture.default_resolution
    found = [entry for entry in request.architecture.accuracies if entry.evaluation in ("pytorchcv", "torchvision") and entry.resolution == height]
    assert [entry.value for entry in found] == [pytest.approx(percent, abs=1e-9)]
    assert zoo.build(name).parameters == parameters


@pytest.mark.parametrize("name", ["resnet-18", "resnet-34"])
def test_without_bottlenecks_the_stride_has_one_place(name: str) -> None:
    """So that both names have the same accuracy."""
    plain, first = zoo.build(name), zoo.build(f"{name}-v1")
    assert plain.nodes == first.nodes
    assert zoo.find(name).architecture.accuracies == zoo.find(f"{name}-v1").architecture.accuracies


def test_accuracies_are_percent_with_a_source() -> None:
    for architecture in zoo.architectures().values():
        for entry in architecture.accuracies:
            assert 15 < entry.value < 100
            assert entry.source
            assert (entry.evaluation == "timm") == entry.source.startswith("timm ")
