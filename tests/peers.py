"""Networks of other libraries, not pretrained, in eval mode.

Needs them without what they depend on (torchvision's compiled part stays unused):
pip install --no-deps timm==1.0.31 torchvision==0.28.0 pytorchcv==0.0.74
"""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from typing import Any

#: Operations that torchvision registers only if its compiled part fits the installed torch; importing it needs their names.
COMPILED_OPERATIONS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "roi_align(Tensor input, Tensor rois, float spatial_scale, int pooled_height, int pooled_width, int sampling_ratio, bool aligned) -> Tensor",
)


@cache
def libraries() -> Any:
    """Make torchvision importable, which timm needs too; returns what must live as long as they are used."""
    import torch

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
        return declared
    return None


def peer(name: str, *, device: str = "cpu", **options: Any) -> Any:
    """The network called "timm:name", "torchvision:name", "torchvision:segmentation.name" or "pytorchcv:name"; on the device ``meta`` it has no data."""
    import torch

    libraries()
    library, _, architecture = name.partition(":")
    with torch.device(device):
        if library == "timm":
            return import_module("timm").create_model(architecture, pretrained=False, **options).eval()
        if library == "pytorchcv":
            return import_module("pytorchcv.model_provider").get_model(architecture, pretrained=False, **options).eval()
        folder, _, builder = architecture.rpartition(".")
        return getattr(import_module(f"torchvision.models.{folder}".rstrip(".")), builder)(weights=None, **options).eval()
