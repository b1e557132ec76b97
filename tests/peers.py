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


def randomise(module: Any) -> None:
    """Random weights, shifts, scales and statistics that keep signals between vanishing and exploding."""
    import torch

    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for part in module.modules():
            for name, tensor in part.named_parameters(recurse=False):
                if name == "weight" and tensor.dim() == 1:
                    tensor.uniform_(0.5, 1.5, generator=generator)  # of a normalisation
                else:
                    tensor.normal_(0, 0.2 if tensor.dim() < 2 else (2 / tensor[0].numel()) ** 0.5, generator=generator)
            for name, tensor in part.named_buffers(recurse=False):
                if name == "running_mean":
                    tensor.normal_(0, 0.2, generator=generator)
                elif name == "running_var":
                    tensor.uniform_(0.5, 1.5, generator=generator)
