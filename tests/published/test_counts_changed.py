"""Counts of networks at another resolution or with other outputs, to the unit, against independent counts."""

from __future__ import annotations

import pytest

from costmodel import zoo

#: Network, outputs (None: as declared), parameters, MACs, what was counted.
ROWS = (
    ("darknet-19@448", None, 20_842_376, 11_163_959_296, "pytorchcv's darknet19 at 448"),
    ("yolov2", 80, 50_962_889, 14_732_084_224, "darknet's yolov2.cfg (COCO, passthrough of 64 channels)"),
    ("yolov2@544", 80, 50_962_889, 25_192_735_744, "darknet's yolov2.cfg (COCO, passthrough of 64 channels)"),
    ("yolov2@608", 80, 50_962_889, 31_469_126_656, "darknet's yolov2.cfg (COCO, passthrough of 64 channels)"),
    ("ssd-300-vgg", 81, 34_305_206, 34_360_351_232, "torchvision's ssd300_vgg16 with 81 outputs"),
    ("ssd-300-vgg", 21, 26_285_486, 31_373_537_792, "torchvision's ssd300_vgg16 with 21 outputs"),
    ("ssdlite-mobilenet-v2", 91, 4_500_543, 804_397_504, "arXiv 1801.04381 section 6.2, COCO's 91 outputs"),
)


@pytest.mark.parametrize(("network", "classes", "parameters", "macs", "counted"), ROWS, ids=[f"{row[0]}-{row[1]}" for row in ROWS])
def test_counts_are_exact(network: str, classes: int | None, parameters: int, macs: int, counted: str) -> None:
    graph = zoo.build(network, classes=classes)
    assert (graph.parameters, graph.macs) == (parameters, macs), counted
