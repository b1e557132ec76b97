"""Our lowering beside what ONNX Runtime's optimiser makes of the file that we export: the same number of operators."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime", reason="needs the extra `ort`")
pytest.importorskip("onnx", reason="reads what the optimiser writes")

import costmodel
from costmodel.importers.onnx import write_onnx
from costmodel.lowering import lower, rule_set

pytestmark = pytest.mark.torch

#: Views, and copies between its two layouts, which are not kernels here.
FREE = {"Reshape", "Squeeze", "Unsqueeze", "ReorderInput", "ReorderOutput"}


def optimised(name: str, folder: Path) -> Counter[str]:
    import onnx
    import onnxruntime

    write_onnx(costmodel.build(name), folder / "net.onnx")
    options = onnxruntime.SessionOptions()
    options.add_free_dimension_override_by_name("batch", 1)
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    onnxruntime.InferenceSession(str(folder / "net.onnx"), options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(folder / "optimised.onnx").graph.node)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("resnet-18@64", 0),
        ("mobilenet-v2@64", 0),
        ("mobilenet-v3-small@64", 1),  # a hard-swish after a linear layer is two operators there
        ("efficientnet-b0@64", 0),
        ("shufflenet-v2-0.5@64", 0),
        ("densenet-121@64", 0),
        ("regnet-y-400mf@64", 0),
        ("vit-s-32", -1),  # the last addition and normalisation are one operator there
    ],
)
def test_as_many_kernels_as_the_optimiser_leaves_operators(name: str, more: int, tmp_path: Path) -> None:
    theirs = optimised(name, tmp_path)
    ours = lower(costmodel.build(name), rule_set("onnxruntime")).kernels
    assert sum(count for kind, count in theirs.items() if kind not in FREE) == len(ours) + more
