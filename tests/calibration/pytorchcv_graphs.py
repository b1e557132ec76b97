"""The networks of pytorchcv that were measured on phones and that the zoo does not name, as saved graphs.

``python -m tests.calibration.pytorchcv_graphs`` writes ``device_profiles/measurements/graphs/``; it needs torch and
``pip install --no-deps pytorchcv==0.0.74``.

Two things differ from the modules as they stand. TensorFlow's converter turns ``x * relu6(x + 3) / 6`` into one HARD_SWISH,
so that the activation of that name is taken as one operator. A video network of the package wants torchvision, which
classification does not: it gets an empty stand-in.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path

#: pytorchcv's names of the networks of qed-usc/mobile-ml-benchmark that no network of the zoo equals.
NETWORKS = (
    "bninception",
    "dla46c",
    "hardnet39ds",
    "mobilenetb_w1",
    "mobilenetb_w3d4",
    "mobilenetb_wd2",
    "mobilenetb_wd4",
    "mobilenetv2_w1",
    "mobilenetv2_w3d4",
    "mobilenetv2_wd2",
    "mobilenetv2_wd4",
    "mobilenetv2b_w3d4",
    "mobilenetv2b_wd2",
    "mobilenetv2b_wd4",
    "mobilenetv3_small_w7d20",
    "preresnet10",
    "resnet10",
    "resnet12",
    "resnet14",
    "resnet16",
    "resnet18_w3d4",
    "resnet18_wd2",
    "resnet18_wd4",
    "resnetbc14b",
    "resnetbc26b",
    "resnext14_16x4d",
    "seresnet10",
    "seresnet12",
    "seresnet14",
    "seresnet16",
    "seresnet18",
    "squeezeresnet_v1_0",
    "squeezeresnet_v1_1",
    "vovnet27s",
)


def main(folder: Path, names: tuple[str, ...] = NETWORKS) -> None:
    """Write one graph a network."""
    import torch
    from torch.nn import functional

    if "torchvision" not in sys.modules:
        package, operators = types.ModuleType("torchvision"), types.ModuleType("torchvision.ops")
        operators.DeformConv2d = type("DeformConv2d", (torch.nn.Module,), {})  # type: ignore[attr-defined]  # the stand-in
        sys.modules.update({"torchvision": package, "torchvision.ops": operators})
    from pytorchcv.model_provider import get_model
    from pytorchcv.models.common import activ

    from costmodel.importers.torch import import_module

    activ.HSwish.forward = lambda self, x: functional.hardswish(x)
    for name in names:
        graph = import_module(get_model(name).eval(), [(1, 3, 224, 224)], name=name).graph
        graph.save(folder / f"{name}.json")
        print(name, graph.macs, graph.parameters)


if __name__ == "__main__":
    main(Path(__file__).parents[2] / "device_profiles" / "measurements" / "graphs", *(tuple(sys.argv[1:]),) if sys.argv[1:] else ())
