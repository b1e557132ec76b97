"""Names of the zoo: what they mean, what is refused, and that options do what they say."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from costmodel import zoo
from costmodel.errors import ShapeError, UnknownNameError, UsageError
from costmodel.graph import GraphBuilder
from costmodel.operator import Operator
from costmodel.ops.convolution import Conv2d, DepthwiseConv2d
from costmodel.ops.pooling import MaxPool2d
from costmodel.zoo._names import _families
from costmodel.zoo._net import round_channels

#: One network of each structure that the families have.
REPRESENTATIVES = (
    "deit-ti",
    "efficientnet-b0",
    "efficientnet-lite0",
    "mobilenet-v1",
    "mobilenet-v2",
    "mobilenet-v3-large",
    "mobilenet-v3-small-minimalistic",
    "resnet-18",
    "resnet-50",
    "resnet-50-v1",
    "vit-b-32",
)


@pytest.mark.parametrize(
    ("name", "architecture", "width", "resolution"),
    [
        ("mobilenet-v2", "mobilenet-v2", 1.0, None),
        ("mobilenet-v2-1.4", "mobilenet-v2", 1.4, None),
        ("mobilenet-v2-1", "mobilenet-v2", 1.0, None),
        ("mobilenet-v2-0.35@96", "mobilenet-v2", 0.35, (96, 96)),
        ("mobilenet-v2@288x512", "mobilenet-v2", 1.0, (288, 512)),
        ("mobilenet-v2-10", "mobilenet-v2", 10.0, None),
        ("mobilenet-v3-large-minimalistic-0.75", "mobilenet-v3-large-minimalistic", 0.75, None),
        ("resnet-50", "resnet-50", 1.0, None),
        ("resnet-50-v1@320", "resnet-50-v1", 1.0, (320, 320)),
        ("vit-b-16@384", "vit-b-16", 1.0, (384, 384)),
        ("mobilenet-v2-1.4-d1.2-l1.5@96", "mobilenet-v2", 1.4, (96, 96)),
        ("efficientnet-b0-d1.4-w1.2@288", "efficientnet-b0", 1.2, (288, 288)),
        ("resnet-50-v1-w2", "resnet-50-v1", 2.0, None),
        ("efficientnet-b0@1", "efficientnet-b0", 1.0, (1, 1)),
        ("efficientnet-b0@65536", "efficientnet-b0", 1.0, (65536, 65536)),
    ],
)
def test_a_name_is_an_architecture_a_width_and_a_resolution(name: str, architecture: str, width: float, resolution: tuple[int, int] | None) -> None:
    request = zoo.find(name)
    assert (request.architecture.name, request.width, request.resolution) == (architecture, width, resolution)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mobilenet-v2@0", "'mobilenet-v2@0': the resolution must lie between 1 and 65536, not 0"),
        ("mobilenet-v2@224x0", "must lie between 1 and 65536, not 224x0"),
        ("mobilenet-v2@65537", "must lie between 1 and 65536, not 65537"),
        ("mobilenet-v2@abc", "the resolution after '@' must look like 224 or 288x512 .height x width., not 'abc'"),
        ("mobilenet-v2@", "must look like 224 or 288x512 .height x width., not ''"),
        ("mobilenet-v2@-224", "must look like 224 or 288x512"),
        ("mobilenet-v2@22.4", "must look like 224 or 288x512"),
        ("mobilenet-v2@224@224", "must look like 224 or 288x512"),
        ("mobilenet-v2@224x224x3", "must look like 224 or 288x512"),
        ("resnet-50-0.5", "resnet-50 takes no width multiplier, so 'resnet-50-0.5' means nothing; try 'resnet-50'"),
        ("vit-b-16-2", "vit-b-16 takes no width multiplier"),
        ("mobilenet-v2-0", "the width multiplier of 'mobilenet-v2-0' must lie between 0.05 and 10"),
        ("vgg-16-d2", "vgg-16 takes no depth or width, so 'vgg-16-d2' means nothing; `costmodel scale --families` lists"),
        ("mobilenet-v2-w2", "the width of mobilenet-v2 is a bare number, as in mobilenet-v2-2"),
        ("efficientnet-b0-d11", "the depth multiplier of 'efficientnet-b0-d11' must lie between 0.05 and 10"),
        ("efficientnet-b0-w0.01", "the width multiplier of 'efficientnet-b0-w0.01' must lie between 0.05 and 10"),
        ("efficientnet-b0-l0", "the late multiplier of 'efficientnet-b0-l0' must lie between 0.05 and 10"),
        ("efficientnet-b0-d1.2@0", "must lie between 1 and 65536, not 0"),
        ("mobilenet-v2-100", "the width multiplier of 'mobilenet-v2-100' must lie between 0.05 and 10"),
    ],
)
def test_what_cannot_be_meant_is_refused(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        zoo.build(name)


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("mobilenetv2", "mobilenet-v2"),
        ("efficentnet-b5", "efficientnet-b5"),
        ("efficientnet-b9", "efficientnet-b8"),
        ("resnet-51", "resnet-50"),
        ("Mobilenet-V2", "mobilenet-v2"),
        ("mobilenet-v2-1.4-1.4", "mobilenet-v2"),
        ("vit-b16", "vit-b-16"),
        ("mobilenet-v2-nan", "mobilenet-v2"),
    ],
)
def test_an_unknown_name_has_close_matches(name: str, match: str) -> None:
    with pytest.raises(UnknownNameError, match=f"unknown model '{name}'; did you mean .*; `costmodel models` lists them all") as caught:
        zoo.build(name)
    assert match in caught.value.matches


@pytest.mark.parametrize("name", ["", "@224", "zzzzzz", "-", "224"])
def test_a_name_like_nothing_says_where_the_names_are(name: str) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown model .*; `costmodel models` lists them all") as caught:
        zoo.find(name)
    assert caught.value.matches == ()


@pytest.mark.parametrize(("option", "value"), [("batch", 0), ("batch", -3), ("classes", 0), ("classes", -1), ("padding", "valid")])
def test_options_out_of_range_are_refused(option: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"{option}|{'number of classes'}"):
        zoo.build("mobilenet-v1", **{option: value})


@pytest.mark.parametrize("name", REPRESENTATIVES)
def test_a_billion_images_count_exactly(name: str) -> None:
    one, many = zoo.build(name), zoo.build(name, batch=10**9)
    assert type(many.macs) is int
    assert many.macs == 10**9 * one.macs
    assert many.other_flops == 10**9 * one.other_flops
    assert many.parameters == one.parameters
    assert many == one.with_batch(10**9)


@pytest.mark.parametrize("name", REPRESENTATIVES)
def test_classes_change_the_last_layer_only(name: str) -> None:
    graph, small = zoo.build(name), zoo.build(name, classes=10)
    width = graph.nodes[-1].inputs[0].shape[-1]
    assert graph.parameters - small.parameters == 990 * (width + 1)
    assert graph.macs - small.macs == 990 * width
    assert small.spec(small.outputs[0]).shape == (1, 10)
    assert graph.nodes[:-1] == small.nodes[:-1]


@pytest.mark.parametrize("name", REPRESENTATIVES)
def test_features_only_stops_before_the_head(name: str) -> None:
    graph, features = zoo.build(name), zoo.build(name, features_only=True)
    assert graph.nodes[: len(features)] == features.nodes
    assert len(features) < len(graph)
    shape = features.spec(features.outputs[0]).shape
    assert len(shape) == (3 if name.startswith(("vit", "deit")) else 4)


WINDOWS = (Conv2d, DepthwiseConv2d, MaxPool2d)


def _paddings(name: str, padding: str | None) -> set[object]:
    operators: list[Operator] = [node.operator for node in zoo.build(name, padding=padding).nodes]
    windows = [operator for operator in operators if isinstance(operator, WINDOWS) and operator.kernel_size != (1, 1)]
    return {operator.padding if operator.padding == "same" else "explicit" for operator in windows}


@pytest.mark.parametrize(
    ("name", "origin"),
    [("mobilenet-v1", "same"), ("mobilenet-v2", "same"), ("mobilenet-v3-large", "same"), ("efficientnet-b0", "same"), ("resnet-50", "explicit")],
)
def test_padding_is_that_of_the_origin_unless_told_otherwise(name: str, origin: str) -> None:
    assert _paddings(name, None) == {origin}
    assert _paddings(name, "same") == {"same"}
    assert _paddings(name, "symmetric") == {"explicit"}


@pytest.mark.parametrize("name", ["mobilenet-v2@225", "resnet-50@97", "efficientnet-b0@240x101", "mobilenet-v3-small@31"])
def test_padding_keeps_sizes_and_counts_under_odd_windows(name: str) -> None:
    same, symmetric = zoo.build(name, padding="same"), zoo.build(name, padding="symmetric")
    assert same.macs == symmetric.macs
    assert same.parameters == symmetric.parameters
    assert [node.outputs for node in same.nodes] == [node.outputs for node in symmetric.nodes]


@pytest.mark.parametrize("name", [name for name in REPRESENTATIVES if not name.startswith(("vit", "deit"))])
def test_convolutional_networks_take_a_single_pixel(name: str) -> None:
    assert zoo.build(f"{name}@1").parameters == zoo.build(name).parameters


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vit-b-16@8", "vit-b-16@8: patches of 16x16 do not divide an image of 8x8; use a multiple of 16"),
        ("vit-b-32@224x100", "patches of 32x32 do not divide an image of 224x100; use a multiple of 32"),
        ("vit-h-14@225", "patches of 14x14 do not divide an image of 225x225; use a multiple of 14"),
    ],
)
def test_images_that_patches_do_not_divide_are_refused(name: str, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        zoo.build(name)


def test_a_network_outside_its_sizes_names_the_operator() -> None:
    small = zoo.build("vit-b-16").inputs["image"].with_shape(1, 3, 8, 8)
    with pytest.raises(ShapeError, match=r"embed.patches .Conv2d. on 1x3x8x8:fp32: the image of 8x8 .* is smaller than the window of 16x16: use a larger"):
        zoo.build("vit-b-16").with_inputs({"image": small})


def test_listing_and_finding_build_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a graph was built")

    monkeypatch.setattr(GraphBuilder, "__init__", refuse)
    assert len(zoo.architectures()) >= 30
    assert zoo.find("mobilenet-v3-large-0.75@192").width == 0.75
    with pytest.raises(AssertionError, match="a graph was built"):
        zoo.build("mobilenet-v1")


def test_loading_the_families_builds_nothing_and_loads_nothing_heavy() -> None:
    script = """
import sys
from costmodel import graph, zoo
graph.GraphBuilder.__init__ = None
zoo.architectures()
print(sorted({name.partition(".")[0] for name in sys.modules} & {"torch", "numpy", "scipy", "networkx", "matplotlib", "pydantic"}))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_names_and_metadata_are_in_order() -> None:
    found = zoo.architectures()
    for name, architecture in found.items():
        assert name == architecture.name
        assert zoo.find(name).architecture == architecture
        assert any(name.startswith(file.replace("_", "-")) for file in _families())
        assert architecture.paper
        assert 1990 <= architecture.year <= 2030
        assert architecture.widths is None or 1.0 in architecture.widths
        for accuracy in architecture.accuracies:
            assert (50 if accuracy.metric == "top1" else 10) < accuracy.value < 100
            assert accuracy.source


@pytest.mark.parametrize(
    ("channels", "divisor", "expected"),
    [
        (32 * 1.4, 8, 48),  # 44.8: nearest is 48 - 3.2
        (32 * 0.35, 8, 16),  # 11.2: nearest is 8, under 90 % of it
        (16 * 0.35, 8, 8),  # never under the divisor
        (24 * 0.75, 8, 24),  # 18: nearest is 16, under 90 % of it
        (20, 8, 24),  # a half rounds up
        (19.9, 8, 24),  # 16 is under 90 % of it
        (17, 8, 16),  # 16 is 94 %
        (100, 16, 96),
        (3, 4, 4),
    ],
)
def test_channels_round_to_a_multiple_never_under_nine_tenths(channels: float, divisor: int, expected: int) -> None:
    assert round_channels(channels, divisor) == expected


def test_multipliers_scale_what_they_name() -> None:
    plain = zoo.build("efficientnet-b0")
    assert replace(zoo.build("efficientnet-b0-d1-w1.0-l1"), name=plain.name) == plain
    assert zoo.build("efficientnet-b0-d1.1@240").macs == zoo.build("efficientnet-b1").macs
    assert (
        zoo.build("efficientnet-b0-d2-w1.1@260").parameters > zoo.build("efficientnet-b0-d1.2-w1.1@260").parameters == zoo.build("efficientnet-b2").parameters
    )
    assert zoo.build("efficientnetv2-b0-d1.4-w1.2@300").macs == zoo.build("efficientnetv2-b3").macs
    assert zoo.build("mobilenet-v3-large-d0.5").macs < zoo.build("mobilenet-v3-large").macs < zoo.build("mobilenet-v3-large-d2").macs


@pytest.mark.parametrize(
    ("name", "shortest"),
    [
        ("mobilenet-v2-1.40-d1@224", "mobilenet-v2-1.4"),
        ("mobilenet-v2-1-d1.20-l1.0", "mobilenet-v2-d1.2"),
        ("efficientnet-b0-d1.40-w1.2@224", "efficientnet-b0-d1.4-w1.2"),
        ("resnet-50-w2-l1.5@288x512", "resnet-50-w2-l1.5@288x512"),
    ],
)
def test_every_network_has_one_shortest_name(name: str, shortest: str) -> None:
    assert zoo.find(name).name == zoo.canonical(name) == shortest
    assert zoo.find(shortest).name == shortest
    assert replace(zoo.build(name), name=shortest) == zoo.build(shortest)


def test_a_scaled_network_has_no_published_accuracy() -> None:
    published = {figure.network for figure in zoo.published_top1()}
    assert "efficientnet-b0" in published
    assert zoo.canonical("efficientnet-b0-d1.4-w1.2") not in published
