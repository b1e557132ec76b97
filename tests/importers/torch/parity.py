"""Networks of the zoo beside the same networks of timm and torchvision, imported: the kernels and latencies of both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module as load
from typing import Any, Literal, NamedTuple

import costmodel
from costmodel.graph import Graph
from costmodel.importers.torch import import_module
from tests.peers import libraries, peer

TARGETS = ("pixel4", "rtx4090", "coral-usb")


class Case(NamedTuple):
    """Our network and the peer's with its options.

    `differs` says what truly differs, in kernels of the kinds `kinds` only; then latencies may differ by `within`, and
    theirs has `fewer` parameters. `fused` is whether timm may call torch's own attention.
    """

    ours: str
    peer: str
    options: dict[str, Any] = {}  # noqa: RUF012  # never changed
    padding: Literal["same", "symmetric"] = "symmetric"
    differs: str = ""
    kinds: frozenset[str] = frozenset()
    within: float = 0.005
    fewer: int = 0
    fused: bool = True


class Beside(NamedTuple):
    """Theirs over ours in latency, and the kernels that only one has: kind, MACs, traffic."""

    ratio: float
    ours: Counter[tuple[str, int, int]]
    theirs: Counter[tuple[str, int, int]]


PLAIN = {"init_weights": False}
NO_AUXILIARY = {"aux_logits": False, "init_weights": False}
NO_BACKBONE = {"weights_backbone": None}

HEAD = "the layer before the classifier is a 1x1 convolution of a 1x1 image there and a linear layer here"
HEADS = frozenset({"linear", "pointwise-convolution"})
STEM = "no normalisation after the first convolution there, and a 1x1 convolution of a 1x1 image as the classifier"
STEMS = HEADS | {"convolution", "batch-normalisation", "elementwise"}
MEAN = "its mean is over an image whose channels are last; torchvision and ours reorder the image first"


def _numbered(ours: str, theirs: str, numbers: Any, **options: Any) -> Iterator[Case]:
    for number in numbers:
        yield Case(ours.format(number), theirs.format(number, str(number).replace(".", "_")), **options)


def _widths(ours: str, theirs: str, widths: Any, **options: Any) -> Iterator[Case]:
    """timm writes a width of 0.5 as 050."""
    for width in widths:
        yield Case(f"{ours}-{width}" if width != 1 else ours, theirs.format(f"{round(100 * width):03}"), **options)


#: What the tests compare: every family, in the variants that differ in more than size.
CASES = (
    *_numbered("resnet-{}", "torchvision:resnet{}", (18, 50)),
    Case("resnet-50", "timm:resnet50"),
    Case("wide-resnet-50-2", "torchvision:wide_resnet50_2"),
    Case("resnext-50-32x4d", "torchvision:resnext50_32x4d"),
    Case("se-resnet-50", "timm:seresnet50"),
    Case("se-resnet-50-v1", "timm:legacy_seresnet50", differs="its first pooling pads nothing and rounds up", kinds=frozenset({"pad", "pooling"})),
    Case("se-resnext-50-32x4d", "timm:seresnext50_32x4d"),
    Case("senet-154", "timm:legacy_senet154"),
    Case("resnest-50", "timm:resnest50d"),
    Case("preresnet-18", "timm:resnetv2_18", differs=STEM, kinds=STEMS, within=0.03, fewer=128),
    Case("alexnet-owt", "torchvision:alexnet"),
    Case("vgg-11", "torchvision:vgg11", PLAIN),
    Case("vgg-16-bn", "torchvision:vgg16_bn", PLAIN),
    Case("googlenet-bn", "torchvision:googlenet", NO_AUXILIARY),
    Case("inception-v3", "torchvision:inception_v3", NO_AUXILIARY),
    Case("inception-v4", "timm:inception_v4"),
    Case("inception-resnet-v2", "timm:inception_resnet_v2", differs="the last block is multiplied by 1 there", kinds=frozenset({"elementwise"})),
    Case("xception", "timm:legacy_xception"),
    Case("xception-41", "timm:xception41"),
    Case("densenet-121", "torchvision:densenet121"),
    Case("squeezenet-1.0", "torchvision:squeezenet1_0"),
    Case("squeezenet-1.1", "torchvision:squeezenet1_1"),
    *_widths("mobilenet-v1", "timm:mobilenetv1_{}", (1,)),
    *_widths("mobilenet-v2", "timm:mobilenetv2_{}", (0.35, 0.5, 0.75, 1, 1.4)),
    Case("mobilenet-v2", "torchvision:mobilenet_v2"),
    *_numbered("mobilenet-v3-{}", "torchvision:mobilenet_v3_{}", ("large", "small")),
    *_widths("mobilenet-v3-large", "timm:tf_mobilenetv3_large_{}", (0.75, 1), padding="same", differs=HEAD, kinds=HEADS),
    *_widths("mobilenet-v3-small", "timm:tf_mobilenetv3_small_{}", (0.75, 1), padding="same", differs=HEAD, kinds=HEADS),
    Case("mobilenet-v3-small-minimalistic", "timm:tf_mobilenetv3_small_minimal_100", padding="same", differs=HEAD, kinds=HEADS),
    *_widths("mnasnet-a1", "timm:semnasnet_{}", (0.75, 1)),
    *_widths("mnasnet-b1", "timm:mnasnet_{}", (0.5, 1, 1.4)),
    Case("mnasnet-b1-1.3", "torchvision:mnasnet1_3"),
    Case("mnasnet-small", "timm:mnasnet_small"),
    Case("fbnet-c", "timm:fbnetc_100"),
    *_numbered("efficientnet-b{}", "torchvision:efficientnet_b{}", (0,)),
    *_numbered("efficientnet-b{}", "timm:tf_efficientnet_b{}", (0, 1), padding="same"),
    Case("efficientnet-lite0", "timm:tf_efficientnet_lite0", padding="same"),
    Case("efficientnet-edgetpu-s", "timm:tf_efficientnet_es", padding="same"),
    Case("efficientnetv2-b0", "timm:tf_efficientnetv2_b0", padding="same"),
    Case("efficientnetv2-s", "torchvision:efficientnet_v2_s"),
    *_numbered("shufflenet-v2-{}", "torchvision:shufflenet_v2_x{1}", (0.5, 1.0)),
    *_widths("ghostnet", "timm:ghostnet_{}", (0.5, 1)),
    Case("pnasnet-5-large", "timm:pnasnet5large", padding="same"),
    Case("regnet-x-200mf", "timm:regnetx_002"),
    Case("regnet-y-200mf", "timm:regnety_002"),
    Case("regnet-y-400mf", "torchvision:regnet_y_400mf"),
    Case("convnext-t", "torchvision:convnext_tiny"),
    Case("convnext-t", "timm:convnext_tiny"),
    Case("nfnet-f0", "timm:dm_nfnet_f0", padding="same"),
    Case("vit-b-16", "torchvision:vit_b_16"),
    Case("vit-s-32", "timm:vit_small_patch32_224"),
    Case("vit-b-16", "timm:vit_base_patch16_224"),
    Case("deit-ti", "timm:deit_tiny_patch16_224"),
    Case("swin-t", "torchvision:swin_t"),
    Case("swin-t", "timm:swin_tiny_patch4_window7_224", differs=MEAN, kinds=frozenset({"copy"})),
    Case("coatnet-0", "timm:coatnet_0_224", fused=False),
    Case("coatnet-0-rw", "timm:coatnet_0_rw_224", fused=False),
    *_numbered("mobilevit-{}", "timm:mobilevit_{}", ("xxs",)),
    Case("lraspp-mobilenet-v3-large-torchvision", "torchvision:segmentation.lraspp_mobilenet_v3_large", NO_BACKBONE),
    Case("deeplabv3-mobilenet-v3-large", "torchvision:segmentation.deeplabv3_mobilenet_v3_large", NO_BACKBONE),
    Case("fcn-resnet-50", "torchvision:segmentation.fcn_resnet50", NO_BACKBONE),
)

_REGNETS = {"400mf": "004", "600mf": "006", "800mf": "008", "1.6gf": "016", "3.2gf": "032", "4gf": "040", "6.4gf": "064", "8gf": "080", "12gf": "120"}
_REGNETS |= {"16gf": "160", "32gf": "320"}

#: The others that both have, for the report. Left out, as they are other networks under the same name: timm's densenet264d
#: (growth 48) and mobilenetv3_small_050, torchvision's regnet_x_400mf, regnet_y_800mf and regnet_y_8gf (other widths).
LARGER = (
    *_numbered("resnet-{}", "torchvision:resnet{}", (34, 101, 152)),
    Case("wide-resnet-101-2", "torchvision:wide_resnet101_2"),
    Case("resnext-101-32x4d", "timm:resnext101_32x4d"),
    *_numbered("resnext-101-{}", "torchvision:resnext101_{}", ("32x8d", "64x4d")),
    *_numbered("se-resnet-{}", "timm:seresnet{}", (101, 152)),
    Case("se-resnext-101-32x4d", "timm:seresnext101_32x4d"),
    *_numbered("resnest-{}", "timm:resnest{}e", (101, 200)),
    *_numbered("preresnet-{}", "timm:resnetv2_{}", (34, 50, 101, 152), differs=STEM, kinds=STEMS, within=0.03, fewer=128),
    *_numbered("vgg-{}", "torchvision:vgg{}", (13, 16, 19), options=PLAIN),
    *_numbered("vgg-{}-bn", "torchvision:vgg{}_bn", (11, 13, 19), options=PLAIN),
    Case("inception-v3", "timm:inception_v3"),
    *_numbered("xception-{}", "timm:xception{}", (65, 71)),
    *_numbered("densenet-{}", "torchvision:densenet{}", (161, 169, 201)),
    Case("mobilenet-v3-large-minimalistic", "timm:tf_mobilenetv3_large_minimal_100", padding="same", differs=HEAD, kinds=HEADS),
    *_widths("mnasnet-a1", "timm:semnasnet_{}", (0.5, 1.4)),
    *_widths("mnasnet-b1", "timm:mnasnet_{}", (0.75,)),
    *_numbered("mnasnet-b1-{}", "torchvision:mnasnet{1}", (0.5, 0.75)),
    Case("mnasnet-b1", "torchvision:mnasnet1_0"),
    *_numbered("efficientnet-b{}", "torchvision:efficientnet_b{}", range(1, 8)),
    *_numbered("efficientnet-b{}", "timm:tf_efficientnet_b{}", range(2, 9), padding="same"),
    Case("efficientnet-l2", "timm:tf_efficientnet_l2", padding="same"),
    *_numbered("efficientnet-lite{}", "timm:tf_efficientnet_lite{}", range(1, 5), padding="same"),
    *_numbered("efficientnet-edgetpu-{}", "timm:tf_efficientnet_e{}", "ml", padding="same"),
    *_numbered("efficientnetv2-b{}", "timm:tf_efficientnetv2_b{}", (1, 2, 3), padding="same"),
    *_numbered("efficientnetv2-{}", "timm:tf_efficientnetv2_{}", ("s", "m", "l", "xl"), padding="same"),
    *_numbered("efficientnetv2-{}", "torchvision:efficientnet_v2_{}", "ml"),
    *_numbered("shufflenet-v2-{}", "torchvision:shufflenet_v2_x{1}", (1.5, 2.0)),
    *_widths("ghostnet", "timm:ghostnet_{}", (1.3,)),
    Case(
        "nasnet-a-large",
        "timm:nasnetalarge",
        padding="same",
        differs="average poolings of stride 2 count the padding's zeros there, so that the padding is a kernel of its own",
        kinds=frozenset({"pad", "pooling"}),
    ),
    *(Case(f"regnet-x-{name}", f"timm:regnetx_{number}") for name, number in _REGNETS.items()),
    *(Case(f"regnet-y-{name}", f"timm:regnety_{number}") for name, number in _REGNETS.items()),
    *_numbered("regnet-x-{}", "torchvision:regnet_x_{1}", ("800mf", "1.6gf", "3.2gf", "8gf", "16gf", "32gf")),
    *_numbered("regnet-y-{}", "torchvision:regnet_y_{1}", ("1.6gf", "3.2gf", "16gf", "32gf")),
    *(Case(f"convnext-{size[0]}", f"{library}:convnext_{size}") for size in ("small", "base", "large") for library in ("torchvision", "timm")),
    *_numbered("nfnet-f{}", "timm:dm_nfnet_f{}", range(1, 5), padding="same"),
    *(Case(f"vit-{name}", f"torchvision:vit_{name.replace('-', '_')}") for name in ("b-32", "l-16", "l-32")),
    Case("vit-h-14@224", "torchvision:vit_h_14"),
    Case("vit-b-32", "timm:vit_base_patch32_224"),
    Case("vit-l-16", "timm:vit_large_patch16_224"),
    Case("vit-h-14", "timm:vit_huge_patch14_224", {"num_classes": 1000}),
    *(Case(f"deit-{size[0]}", f"timm:deit_{size}_patch16_224") for size in ("small", "base")),
    *(Case(f"swin-{size[0]}", f"torchvision:swin_{size[0]}") for size in ("small", "base")),
    *(
        Case(ours, f"timm:swin_{theirs}", differs=MEAN, kinds=frozenset({"copy"}))
        for ours, theirs in (
            ("swin-s", "small_patch4_window7_224"),
            ("swin-b", "base_patch4_window7_224"),
            ("swin-b-w12", "base_patch4_window12_384"),
            ("swin-l", "large_patch4_window7_224"),
        )
    ),
    *_numbered("mobilevit-{}", "timm:mobilevit_{}", ("xs", "s")),
    Case("deeplabv3-resnet-50", "torchvision:segmentation.deeplabv3_resnet50", NO_BACKBONE),
    *_numbered("fcn-resnet-{}", "torchvision:segmentation.fcn_resnet{}", (101,), options=NO_BACKBONE),
    *_numbered("deeplabv3-resnet-{}", "torchvision:segmentation.deeplabv3_resnet{}", (101,), options=NO_BACKBONE),
)


@cache
def target(name: str) -> Any:
    """The target of that name, loaded once."""
    return costmodel.target(name)


@contextmanager
def _attention(fused: bool) -> Iterator[None]:
    """timm built with or without torch's own attention."""
    libraries()
    layers = load("timm.layers")
    layers.set_fused_attn(fused)
    try:
        yield
    finally:
        layers.set_fused_attn(True)


def both(case: Case) -> tuple[Graph, Graph]:
    """Our graph, and that imported from the peer, for the same image and under the same name."""
    ours = costmodel.build(case.ours, padding=case.padding)
    with _attention(case.fused):
        module = peer(case.peer, device="cpu" if "torchvision:regnet" in case.peer else "meta", **case.options)
    return ours, import_module(module, [next(iter(ours.inputs.values())).shape], name=ours.name).graph


def beside(ours: Graph, theirs: Graph) -> dict[str, Beside]:
    """By target, how the latency and the kernels of two graphs differ."""
    found = {}
    for name in TARGETS:
        first, second = (costmodel.estimate(graph, target=target(name)) for graph in (ours, theirs))
        kernels = [Counter((str(kernel.kind), kernel.macs, kernel.traffic_bytes) for kernel in report.kernels) for report in (first, second)]
        found[name] = Beside(second.latency_s / first.latency_s, kernels[0] - kernels[1], kernels[1] - kernels[0])
    return found
