"""Counts of variants that the zoo does not name, to the unit, against independent counts.

Each is a zoo network with other outputs or another part left out, or a family's function called with other numbers: depth
and width multipliers, other libraries' stems, heads and auxiliary classifiers. Where another library's count of the same
network differs from the zoo's, the reason is arithmetic here (`test_what_pytorchcv_...`) and stands in the family's file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from costmodel import zoo
from costmodel.errors import UsageError
from costmodel.graph import Graph
from costmodel.work import WorkKind
from costmodel.zoo import (
    Options,
    amoebanet,
    deeplabv3,
    densenet,
    efficientnet,
    efficientnetv2,
    espnet,
    googlenet,
    inception_v3,
    mobilenet_v1,
    mobilenet_v2,
    mobilenet_v3,
    nfnet,
    preresnet,
    resnet,
    se_resnet,
    shufflenet_v1,
    ssdlite,
)
from costmodel.zoo.efficientnet import Fused, Scaling
from costmodel.zoo.resnet import Variant


class Row(NamedTuple):
    """A variant: what it is, how it is built, its parameters and MACs (None: not counted independently), what was counted."""

    name: str
    build: Callable[[], Graph]
    parameters: int
    macs: int | None
    counted: str


TIMM, TORCHVISION, PYTORCHCV = "timm 1.0.31", "torchvision 0.28.0", "pytorchcv 0.0.74"
TIMM_SCALED = "timm 1.0.31's builder under these multipliers"
AMOEBANET = "github.com/tensorflow/tpu amoeba_net cell tables"
RELEASED = "github.com/tensorflow/tpu efficientnet_builder.py"
SSDLITE = "arXiv:1801.04381 section 6.2"
DARKNET = "darknet's yolov2.cfg (COCO, passthrough of 64 channels)"
SHUFFLENET = f"{PYTORCHCV}: a stem that scales with the width, a classifier with bias"


def at(side: int, across: int | None = None, *, width: float = 1.0, classes: int | None = None) -> Options:
    """Options of a variant at a resolution."""
    return Options(name="variant", resolution=(side, across or side), width=width, classes=classes)


def named(name: str, classes: int | None = None, *, features_only: bool = False) -> Callable[[], Graph]:
    """A zoo network with other outputs, or without its head."""
    return lambda: zoo.build(name, classes=classes, features_only=features_only)


def shuffled(width: float, groups: int) -> Callable[[], Graph]:
    """ShuffleNet v1 in pytorchcv's form."""
    return lambda: shufflenet_v1.shufflenet_v1(at(224), width, groups, stem=int(24 * width), bias=True)


def amoeba(repeats: int, filters: int) -> Callable[[], Graph]:
    """AmoebaNet-D of another size (GPipe, arXiv 1811.06965, Tables 1 and 2)."""
    return lambda: amoebanet.amoebanet(at(224), amoebanet.D, repeats, filters)


def scaled_b0(width: float, depth: float, side: int) -> Callable[[], Graph]:
    """EfficientNet-B0 scaled in one dimension or in all."""
    return lambda: efficientnet.efficientnet(at(side), Scaling(width, depth, side))


#: Zoo networks with other outputs, or without their head.
OUTPUTS = (
    Row("YOLOv2, 80 classes", named("yolov2", 80), 50_962_889, 14_732_084_224, DARKNET),
    Row("YOLOv2, 80 classes, 544", named("yolov2@544", 80), 50_962_889, 25_192_735_744, DARKNET),
    Row("YOLOv2, 80 classes, 608", named("yolov2@608", 80), 50_962_889, 31_469_126_656, DARKNET),
    Row("SSD300, 81 outputs", named("ssd-300-vgg", 81), 34_305_206, 34_360_351_232, f"{TORCHVISION} ssd300_vgg16"),
    Row("SSD300, 21 outputs", named("ssd-300-vgg", 21), 26_285_486, 31_373_537_792, f"{TORCHVISION} ssd300_vgg16"),
    Row("SSDLite on MobileNetV2, 91 outputs", named("ssdlite-mobilenet-v2", 91), 4_500_543, 804_397_504, SSDLITE),
    Row("SSDLite's MobileNetV2 alone", named("ssdlite-mobilenet-v2", features_only=True), 2_223_872, 611_212_800, SSDLITE),
    Row("PSPNet, 21 classes, 480", named("pspnet@480", 21), 65_708_501, 230_045_081_600, f"{PYTORCHCV} pspnet_resnetd101b_voc"),
    Row("ESPNet, 21 classes, 512", named("espnet@512", 21), 366_589, 2_443_522_048, "github.com/sacmehta/ESPNet code, p=2, q=8"),
    Row("ESPNet, 19 classes", named("espnet", 19), 363_462, None, "365,109 less what the twentieth output has"),
    Row("ViT-L/32 without its head", named("vit-l-32", features_only=True), 305_510_400, 15_376_515_072, f"{TIMM} vit_large_patch32_224"),
    Row("ViT-H/14 without its head", named("vit-h-14", features_only=True), 630_764_800, 167_293_829_120, f"{TIMM} vit_huge_patch14_224"),
)

#: Depth and width multipliers, and other sizes of published families.
SCALED = (
    Row("B0, depth 4", scaled_b0(1.0, 4.0, 224), 20_091_856, 1_575_132_640, RELEASED),
    Row("B0, width 2", scaled_b0(2.0, 1.0, 224), 18_122_720, 1_449_958_848, RELEASED),
    Row("B0, compound, 288", scaled_b0(1.2, 1.4, 288), 12_233_232, 1_589_198_096, RELEASED),
    Row("B0, compound, 291", scaled_b0(1.2, 1.4, 291), 12_233_232, 1_800_091_280, RELEASED),
    Row(
        "B3 rounded as in the EfficientNetV2 repository",
        lambda: efficientnet.efficientnet(at(300), efficientnet.SCALINGS["b3"], rounding=efficientnetv2.nearest),
        12_227_212,
        None,
        "github.com/google/automl efficientnetv2",
    ),
    Row("MobileNetV1, compound, 288", lambda: mobilenet_v1.mobilenet_v1(at(288, width=1.2), depth=1.4, rounded=True), 8_677_512, 2_242_960_136, TIMM_SCALED),
    Row("MobileNetV1, compound, 291", lambda: mobilenet_v1.mobilenet_v1(at(291, width=1.2), depth=1.4, rounded=True), 8_677_512, 2_469_723_976, TIMM_SCALED),
    Row("MobileNetV2, depth 4", lambda: mobilenet_v2.mobilenet_v2(at(224), depth=4), 12_051_800, 1_219_587_776, TIMM_SCALED),
    Row("MobileNetV2, compound, 288", lambda: mobilenet_v2.mobilenet_v2(at(288, width=1.2), depth=1.4), 7_987_552, 1_284_428_256, TIMM_SCALED),
    Row("ResNet-50, depth 4", lambda: resnet.resnet(at(224), Variant((12, 16, 24, 12), True)), 89_824_040, 14_570_749_952, TIMM_SCALED),
    Row("ResNet-50, width 2", lambda: resnet.resnet(at(224), resnet.VARIANTS[50], width=2), 97_953_576, 15_870_148_608, TIMM_SCALED),
    Row("AmoebaNet-D (18, 256)", amoeba(18, 256), 121_915_113, 14_193_510_752, AMOEBANET),
    Row("AmoebaNet-D (18, 416)", amoeba(18, 416), 317_548_353, 37_406_506_912, AMOEBANET),
    Row("AmoebaNet-D (18, 544)", amoeba(18, 544), 540_204_945, 63_923_879_072, AMOEBANET),
    Row("AmoebaNet-D (36, 544)", amoeba(36, 544), 1_053_302_481, 121_347_300_512, AMOEBANET),
    Row("AmoebaNet-D (72, 512)", amoeba(72, 512), 1_842_618_441, 209_231_553_376, AMOEBANET),
    Row("AmoebaNet-A (18, 448)", lambda: amoebanet.amoebanet(at(331), amoebanet.A, 18, 448), 468_158_353, 126_520_764_944, AMOEBANET),
)

#: How often each row of V3 large stands under timm's depth multiplier of 1.2.
DEEPER_V3 = mobilenet_v3.Form((2, 1, 2, 1, 1, 2, 1, 2, 1, 1, 1, 2, 1, 1, 2), last_convolutions=2, fixed_hidden=True)
RW_S = efficientnetv2.Variant(24, (*efficientnetv2.SMALL[:-1], efficientnetv2.Stage(False, 6, 272, 15, 2)), 1.0, 1.0, 384, head=1792, always_project=True)

#: Other libraries' forms of networks that the zoo has.
FORMS = (
    Row("MobileNetV1 with a last convolution", lambda: mobilenet_v1.mobilenet_v1(at(224), head_conv=True), 5_282_600, 620_120_576, f"{TIMM} mobilenetv1_100h"),
    Row(
        "MobileNetV2 110d",
        lambda: mobilenet_v2.mobilenet_v2(at(224, width=1.1), depth=1.2, fixed_ends=True),
        4_516_520,
        430_516_080,
        f"{TIMM} mobilenetv2_110d",
    ),
    Row(
        "MobileNetV2 120d",
        lambda: mobilenet_v2.mobilenet_v2(at(224, width=1.2), depth=1.4, fixed_ends=True),
        5_831_144,
        668_857_568,
        f"{TIMM} mobilenetv2_120d",
    ),
    Row(
        "MobileNetV3 small 0.5 with a stem of 16",
        lambda: mobilenet_v3.mobilenet_v3(at(224, width=0.5), "small", form=mobilenet_v3.Form(fixed_stem=True)),
        1_593_224,
        24_188_688,
        f"{TIMM} mobilenetv3_small_050",
    ),
    Row(
        "MobileNetV3 large 150d",
        lambda: mobilenet_v3.mobilenet_v3(at(224, width=1.5), "large", form=DEEPER_V3),
        14_622_320,
        775_198_160,
        f"{TIMM} mobilenetv3_large_150d",
    ),
    Row(
        "EfficientNetV2-S of the first preprint", lambda: efficientnetv2.efficientnetv2(at(384), RW_S), 23_941_296, 8_640_282_112, f"{TIMM} efficientnetv2_rw_s"
    ),
    Row("ResNet-26", lambda: resnet.resnet(at(224), Variant((2, 2, 2, 2), True)), 15_995_176, 2_342_256_640, f"{TIMM} resnet26"),
    Row("ResNet-200", lambda: resnet.resnet(at(224), Variant((3, 24, 36, 3), True)), 64_673_832, 15_007_481_856, f"{TIMM} resnet200"),
    Row(
        "pre-activation ResNet-50, plain stem",
        lambda: preresnet.preresnet(at(224), resnet.VARIANTS[50], stem_norm=False),
        25_549_352,
        4_089_184_256,
        f"{TIMM} resnetv2_50",
    ),
    Row("SE-ResNet-18", lambda: se_resnet.se_resnet(at(224), (2, 2, 2, 2), bottleneck=False), 11_779_624, 1_814_161_408, f"{TIMM} seresnet18"),
    Row(
        "DenseNet-264, growth 48, deep stem",
        lambda: densenet.densenet(at(224), densenet.Variant((6, 12, 64, 48), 48, deep_stem=True)),
        72_736_216,
        13_470_266_880,
        f"{TIMM} densenet264d",
    ),
    Row("NFNet-F0 without gains of the branches", lambda: nfnet.nfnet(at(256), 0, skip_gain=False), 71_489_272, 12_384_198_656, f"{TIMM} nfnet_f0"),
    Row("ShuffleNet v1 0.25, 1 group", shuffled(0.25, 1), 209_746, 11_003_184, SHUFFLENET),
    Row("ShuffleNet v1 0.25, 3 groups", shuffled(0.25, 3), 305_902, 11_009_808, SHUFFLENET),
    Row("ShuffleNet v1 0.5, 1 group", shuffled(0.5, 1), 534_484, 38_517_408, SHUFFLENET),
    Row("ShuffleNet v1 0.5, 3 groups", shuffled(0.5, 3), 718_324, 37_589_856, SHUFFLENET),
    Row("ShuffleNet v1, 1 group", shuffled(1.0, 1), 1_531_936, 143_078_976, SHUFFLENET),
    Row("ShuffleNet v1, 2 groups", shuffled(1.0, 2), 1_733_848, 140_836_512, SHUFFLENET),
    Row("ShuffleNet v1, 3 groups", shuffled(1.0, 3), 1_865_728, 137_460_672, SHUFFLENET),
    Row("ShuffleNet v1, 4 groups", shuffled(1.0, 4), 1_968_344, 134_339_776, SHUFFLENET),
    Row("ShuffleNet v1, 8 groups", shuffled(1.0, 8), 2_434_768, 138_365_952, SHUFFLENET),
    Row(
        "SSDLite on MobileNetV2 with regular convolutions",
        lambda: ssdlite.ssdlite(at(320), ssdlite.V2, 81, ssdlite.Head(separable=False)),
        17_000_501,
        1_870_281_472,
        SSDLITE,
    ),
    Row(
        "ESPNet-C of 5 and 3 pyramids, 19 classes",
        lambda: espnet.espnet(at(512, 1024, classes=19), 3, decoder=False, alpha2=5),
        210_889,
        2_912_313_344,
        f"{PYTORCHCV} espcnet_cityscapes",
    ),
    Row(
        "ESPNet-C of 5 and 3 pyramids, 19 classes, 1024x2048",
        lambda: espnet.espnet(at(1024, 2048, classes=19), 3, decoder=False, alpha2=5),
        210_889,
        11_649_253_376,
        f"{PYTORCHCV} espcnet_cityscapes",
    ),
    Row(
        "DeepLabv3 on ResNet-101 with the deep stem",
        lambda: deeplabv3.deeplabv3(at(480), "resnet-101", deep_stem=True),
        58_754_773,
        218_177_343_488,
        f"{PYTORCHCV} deeplabv3_resnetd101b_voc",
    ),
)

ROWS = (*OUTPUTS, *SCALED, *FORMS)


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_counts_are_exact(row: Row) -> None:
    graph = row.build()
    assert graph.parameters == row.parameters, row.counted
    if row.macs is not None:
        assert graph.macs == row.macs, row.counted


@pytest.mark.parametrize(
    ("fused", "parameters", "macs"),
    [(Fused(3, kernel_size=3, squeeze=True), 20_000_000, 7_341_000_000), (Fused(5), 43_500_000, 22_995_000_000), (Fused(7), 132_100_000, 36_045_000_000)],
    ids=["stages 1-3", "stages 1-5", "stages 1-7"],
)
def test_fused_b4_rounds_to_its_independent_count(fused: Fused, parameters: int, macs: int) -> None:
    """EfficientNetV2's ablation (arXiv 2104.00298, Table 3) on B4 at 380: parameters to a tenth of a million, MACs to a million."""
    graph = efficientnet.efficientnet(at(380), efficientnet.SCALINGS["b4"], fused=fused)
    assert (round(graph.parameters, -5), round(graph.macs, -6)) == (parameters, macs)


@pytest.mark.parametrize(
    ("build", "parameters", "macs", "classifiers"),
    [
        (lambda: googlenet.googlenet(at(224), normalised=True, auxiliary=True), 13_004_888, 1_498_376_192, 2),
        (lambda: inception_v3.inception_v3(at(299), auxiliary=True), 27_161_264, 5_713_216_096, 1),
    ],
    ids=["googlenet", "inception_v3"],
)
def test_auxiliary_classifiers_have_parameters_but_no_work_at_inference(build: Callable[[], Graph], parameters: int, macs: int, classifiers: int) -> None:
    """torchvision's networks with their auxiliary classifiers; its MACs are those of evaluation, without them."""
    graph = build()
    assert graph.parameters == parameters
    assert sum(node.work.macs for node in graph.nodes if not node.name.startswith("auxiliary")) == macs
    assert [graph.spec(output).shape for output in graph.outputs] == [(1, 1000)] * (1 + classifiers)


def test_the_detector_part_of_ssdlite_and_ssd() -> None:
    """arXiv 1801.04381, Table 5: 2.1M and 14.8M parameters."""
    alone = zoo.build("ssdlite-mobilenet-v2", features_only=True)
    regular = ssdlite.ssdlite(at(320), ssdlite.V2, 81, ssdlite.Head(separable=False))
    assert zoo.build("ssdlite-mobilenet-v2").parameters - alone.parameters == 2_113_141
    assert regular.parameters - alone.parameters == 14_776_629


def test_espnet_is_published_without_its_transposed_convolutions() -> None:
    graph = zoo.build("espnet")
    assert sum(node.work.macs for node in graph.nodes if node.work.kind is not WorkKind.TRANSPOSED) == 4_504_969_216


@pytest.mark.parametrize(
    ("network", "parameters", "macs", "unstrided"),
    [
        ("nasnet-a-mobile", 5_289_978, 568_234_858, True),
        ("nasnet-a-large", 88_753_150, 23_809_955_634, True),
        ("pnasnet-5-large", 86_057_668, 24_979_693_344, False),
    ],
)
def test_what_pytorchcv_computes_and_cuts_off_in_cells(network: str, parameters: int, macs: int, unstrided: bool) -> None:
    """The first half of a separable convolution gives a row and a column too many in cells that halve a map of even sides.

    In NASNet that is every separable convolution of such a cell, in PNASNet the strided ones.
    """
    graph = zoo.build(network)
    firsts = [node for node in graph.nodes if node.name.endswith(".depthwise0")]
    strided = {node.name for node in firsts if getattr(node.operator, "stride", None) == (2, 2)}
    halving = {node.name.partition(".steps.")[0] for node in firsts if node.name in strided and node.inputs[0].shape[2] % 2 == 0}
    cut_off = 0
    for node in firsts:
        if node.name.partition(".steps.")[0] in halving and (unstrided or node.name in strided):
            height, width = node.outputs[0].shape[2:]
            work = node.work.macs + graph[node.name.replace("depthwise", "pointwise")].work.macs
            cut_off += work // (height * width) * (height + width + 1)
    assert (graph.parameters, graph.macs + cut_off) == (parameters, macs)


@pytest.mark.parametrize(
    ("scale", "parameters", "macs"),
    [
        ("0.5", 1_241_092, 29_441_109),
        ("1.0", 1_669_592, 86_823_637),
        ("1.25", 1_964_832, 124_521_493),
        ("1.5", 2_314_120, 169_745_749),
        ("2.0", 3_497_144, 286_240_725),
    ],
)
def test_what_pytorchcv_runs_in_espnetv2(scale: str, parameters: int, macs: int) -> None:
    """Its strided pyramids have no PReLU to leave unused, and the image's branch of the last strided block runs."""
    graph = zoo.build(f"espnetv2-{scale}")
    unused = sum(node.parameters for node in graph.nodes if "unused_activation" in node.name)
    height, width = graph["level5.down.activation"].outputs[0].shape[2:]
    weights = [node.outputs[0] for node in graph.nodes if "unused_image" in node.name and len(node.outputs[0].shape) == 4]
    assert [weight.shape[2:] for weight in weights] == [(3, 3), (1, 1)]
    assert (graph.parameters - unused, graph.macs + height * width * sum(weight.numel for weight in weights)) == (parameters, macs)


def test_a_shufflenet_of_an_unpublished_width_needs_a_stem() -> None:
    with pytest.raises(UsageError, match=r"no stem is published at width 0\.25; give its channels, or a width of 0\.5, 1\.0, 1\.5, 2\.0"):
        shufflenet_v1.shufflenet_v1(at(224), 0.25, 3)
