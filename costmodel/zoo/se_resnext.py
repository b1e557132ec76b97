"""SE-ResNeXt 50 and 101, 32x4d (arXiv 1709.01507): squeeze-and-excitation at the end of every block of ResNeXt."""

from __future__ import annotations

from costmodel.zoo._architecture import Accuracy, Architecture
from costmodel.zoo.resnext import VARIANTS, resnext
from costmodel.zoo.se_resnet import PAPER, REDUCTION

#: Depth -> (timm's weights, top-1 in its uniform evaluation).
_TIMM_TOP1 = {50: ("seresnext50_32x4d.gluon_in1k", 79.916), 101: ("seresnext101_32x4d.gluon_in1k", 80.886)}


def _declare(depth: int) -> Architecture:
    variant = VARIANTS[f"resnext-{depth}-32x4d"]
    weights, value = _TIMM_TOP1[depth]
    return Architecture(
        name=f"se-resnext-{depth}-32x4d",
        family="se-resnext",
        builder=lambda options: resnext(options, variant, reduction=REDUCTION),
        resolution=224,
        year=2017,
        paper=PAPER,
        accuracies=(Accuracy(value=value, resolution=224, evaluation="timm", source=f"timm results-imagenet.csv, {weights}"),),
    )


ARCHITECTURES = tuple(_declare(depth) for depth in _TIMM_TOP1)
