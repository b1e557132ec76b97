"""The libraries that the tests marked `peers` compare with."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest

#: Operations that torchvision registers only if its compiled part fits the installed torch; importing it needs their names.
COMPILED_OPERATIONS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "roi_align(Tensor input, Tensor rois, float spatial_scale, int pooled_height, int pooled_width, int sampling_ratio, bool aligned) -> Tensor",
)


@pytest.fixture(scope="session")
def peer_network() -> Iterator[Callable[..., Any]]:
    """A function of a name and options to a network of timm or torchvision, not pretrained, in eval mode.

    Names are "timm:name", "torchvision:name" or "torchvision:segmentation.name".
    """
    import torch

    declared = None
    try:
        import_module("torchvision.models")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        declared = torch.library.Library("torchvision", "DEF")
        for schema in COMPILED_OPERATIONS:
            declared.define(schema)

    def made(name: str, **options: Any) -> Any:
        library, _, architecture = name.partition(":")
        if library == "timm":
            return import_module("timm").create_model(architecture, pretrained=False, **options).eval()
        folder, _, builder = architecture.rpartition(".")
        return getattr(import_module(f"torchvision.models.{folder}".rstrip(".")), builder)(weights=None, **options).eval()

    yield made
    del declared  # the operations exist as long as this object does
