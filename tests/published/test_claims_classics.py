"""Claims of the classic networks that are counts: AlexNet to GPipe, compression and distillation."""

from __future__ import annotations

from functools import cache, partial
from unittest.mock import patch

import pytest

import costmodel
from costmodel.graph import Graph
from costmodel.ops.pooling import AvgPool2d
from costmodel.work import CONTRACTIONS
from costmodel.zoo import Options, se_resnet
from costmodel.zoo.amoebanet import D, amoebanet
from tests.published.claims import Claim, Gap, built, check, check_gap, macs, near, parameters, within

ALEXNET, VGG, RESNET = "NIPS 2012 (Krizhevsky et al.)", "arXiv:1409.1556 Table 2", "arXiv:1512.03385"
SENET, GPIPE, NASNET = "arXiv:1709.01507", "arXiv:1811.06965 Table 1", "arXiv:1707.07012 Table 2"
EFFICIENTNET, COMPRESSION, DISTILLATION = "arXiv:1905.11946 Table 2", "arXiv:1510.00149 Table 1", "arXiv:1503.02531"


def connections(name: str) -> int:
    """What LeCun et al. count: outputs times fan-in and one bias; the classes' distances have no bias, a mean of four has."""
    total = 0
    for node in built(name).nodes:
        if node.work.kind in CONTRACTIONS or node.name == "output":
            total += node.work.macs + (node.outputs[0].numel if "bias" in node.parameter_shapes else 0)
        elif isinstance(node.operator, AvgPool2d):
            total += node.outputs[0].numel * (2 * 2 + 1)
    return total


def neurons(name: str) -> int:
    """Outputs of convolutions and fully connected layers."""
    return sum(node.outputs[0].numel for node in built(name).nodes if node.work.kind in CONTRACTIONS)


@cache
def se_resnet_50(reduction: int) -> Graph:
    """SE-ResNet-50 with another reduction ratio than the published 16."""
    with patch.object(se_resnet, "REDUCTION", reduction):
        return se_resnet.se_resnet(Options(name=f"se-resnet-50-r{reduction}", resolution=(224, 224)), se_resnet.VARIANTS[50], stride_first=True)


def se_parameters(reduction: int) -> int:
    return se_resnet_50(reduction).parameters


def gpipe(repeats: int, filters: int) -> int:
    """Parameters of GPipe's AmoebaNet-D of that depth and width."""
    return amoebanet(Options(name=f"amoebanet-d-{repeats}-{filters}", resolution=(224, 224)), D, repeats, filters).parameters


def file_bytes(name: str) -> int:
    return costmodel.estimate(built(name), device="xeon-e5-2690").model_file_bytes


def distillation_step(teacher: str, student: str) -> float:
    """MACs of a training step with a teacher: one forward pass of it, and forward and backward (twice a forward) of the student."""
    return macs(teacher) + 3 * macs(student)


#: Parameters in millions that VGG prints for the configurations A, B, D, E.
VGGS = {"vgg-11": 133e6, "vgg-13": 133e6, "vgg-16": 138e6, "vgg-19": 144e6}
#: Cells, filters, printed parameters of GPipe's networks.
GPIPES = ((18, 208, 82e6), (18, 416, 318e6), (18, 544, 542e6), (36, 544, 1.05e9))
#: MACs at the resolutions of the searches' papers, as the papers print them.
SEARCHED = (
    ("nasnet-a-large", 23.8e9, NASNET),
    ("pnasnet-5-large", 25.0e9, "arXiv:1712.00559"),
    ("amoebanet-a", 23e9, EFFICIENTNET),
    ("amoebanet-c", 41e9, EFFICIENTNET),
    ("resnext-101-64x4d@320", 31.5e9, NASNET),
)

CLAIMS = (
    near("connections of LeNet-5", "Proc. IEEE 86(11) 1998 (LeCun et al.), section II.B", 340_908, partial(connections, "lenet-5")),
    near("neurons of AlexNet", f"{ALEXNET} abstract", 650_000, partial(neurons, "alexnet"), 0.015),
    *(near(f"parameters of {name}", VGG, printed, partial(parameters, name), 0.005) for name, printed in VGGS.items()),
    within("ResNet-152 takes fewer MACs than VGG-16", f"{RESNET} section 3.3", 11.3 / 15.3, lambda: macs("resnet-152-v1") / macs("vgg-16"), 0, 0.999),
    near("ResNet-34 takes 18 % of VGG-19's MACs", f"{RESNET} section 3.3", 0.18, lambda: macs("resnet-34") / macs("vgg-19"), 0.05),
    near(
        "squeeze-and-excitation adds parameters to ResNet-50", f"{SENET} section 4", 2.5e6, lambda: se_resnet_50(16).parameters - parameters("resnet-50"), 0.02
    ),
    near(
        "squeeze-and-excitation adds 10 % of ResNet-50's parameters",
        f"{SENET} section 4",
        0.10,
        lambda: se_resnet_50(16).parameters / parameters("resnet-50") - 1,
        0.02,
    ),
    *(
        near(f"parameters of SE-ResNet-50 at ratio {ratio}", f"{SENET} Table 10", printed, partial(se_parameters, ratio), 0.005)
        for ratio, printed in {4: 35.7e6, 8: 30.7e6, 16: 28.1e6, 32: 26.9e6}.items()
    ),
    *(
        near(f"parameters of AmoebaNet-D ({repeats}, {filters})", GPIPE, printed, partial(gpipe, repeats, filters), 0.015)
        for repeats, filters, printed in GPIPES
    ),
    *(near(f"MACs of {name}", source, printed, partial(macs, name), 0.01) for name, printed, source in SEARCHED),
    near("operations of Darknet-19", "arXiv:1612.08242 section 3", 5.58e9, lambda: 2 * macs("darknet-19"), 0.001),
    near("file of LeNet-300-100", COMPRESSION, 1_070e3, partial(file_bytes, "lenet-300-100"), 0.005),
    near("file of LeNet-5 (Caffe)", COMPRESSION, 1_720e3, partial(file_bytes, "lenet-5-caffe"), 0.005),
    near("file of VGG-16", COMPRESSION, 552e6, partial(file_bytes, "vgg-16"), 0.005),
    near(
        "distilling ResNet-50 into B0 takes 4.5 plain steps",
        f"{DISTILLATION} section 2, counted",
        (4.09 + 3 * 0.386) / (3 * 0.386),
        lambda: distillation_step("resnet-50", "efficientnet-b0") / (3 * macs("efficientnet-b0")),
        0.005,
    ),
)

GAPS = (
    Gap(
        near("file of AlexNet", COMPRESSION, 240e6, partial(file_bytes, "alexnet"), 0.005),
        243.9e6,
        "the paper prints 61M parameters beside 240 MB; 61.0M x 4 bytes are 243.9 MB",
    ),
    Gap(
        near("parameters of AmoebaNet-D (72, 512)", GPIPE, 1.8e9, partial(gpipe, 72, 512), 0.015),
        1_842_618_441,
        "1.843B, printed to one decimal",
    ),
    Gap(
        near(
            "squeeze-and-excitation adds 0.26 % to ResNet-50's MACs",
            f"{SENET} section 4",
            0.0026,
            lambda: se_resnet_50(16).macs / macs("resnet-50-v1") - 1,
            0.1,
        ),
        0.00065,
        "the two fully connected layers alone add 0.065 %; the paper counts the means and the scaling, too",
    ),
)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: f"{claim.name}-{claim.source}")
def test_claim(claim: Claim) -> None:
    check(claim)


@pytest.mark.parametrize("gap", GAPS, ids=lambda gap: gap.claim.name)
def test_known_gap(gap: Gap) -> None:
    check_gap(gap)


def test_every_hourglass_sees_a_quarter_of_the_resolution() -> None:
    """arXiv 1603.06937, section 3.2: the full input is 256, the highest resolution of an hourglass, and its output, 64."""
    graph = built("hourglass-8")
    height, width = graph.inputs["image"].shape[2:]
    scores = [graph.spec(ref).shape[2:] for ref in graph.outputs]
    assert scores == [(height // 4, width // 4)] * 8
    for stack in range(8):
        first = next(node for node in graph.nodes if node.name.startswith(f"stacks.{stack}."))
        assert first.inputs[0].shape[2:] == (height // 4, width // 4)


def test_squeeze_and_excitation_adds_its_fully_connected_layers() -> None:
    """SENet, section 4: 2 / r times the sum over stages of blocks times channels squared, and the biases."""
    assert se_resnet_50(16).macs - macs("resnet-50-v1") == sum(
        repeats * 2 * channels**2 // 16 for repeats, channels in ((3, 256), (4, 512), (6, 1024), (3, 2048))
    )
