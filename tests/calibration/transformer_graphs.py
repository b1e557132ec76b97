"""MobileViT as it was measured on phones, a saved graph: with grouped convolutions for depthwise ones.

``python -m tests.calibration.transformer_graphs`` writes ``device_profiles/measurements/graphs/``; it needs nothing but this package.

The file that was measured comes from the TensorFlow port in huggingface/transformers (4.46.3, models/mobilevit/modeling_tf_mobilevit.py), whose
TFMobileViTConvLayer makes a ``keras.layers.Conv2D(groups=channels)`` where the paper has a depthwise convolution. TensorFlow Lite runs that on its
kernel for grouped convolutions, one thread and one multiplication at a time, and not on the one for depthwise convolutions.
"""

from __future__ import annotations

from pathlib import Path

from costmodel import zoo
from costmodel.edits._rewrite import rewritten
from costmodel.graph import Graph
from costmodel.ops.convolution import DepthwiseConv2d, GroupedConv2d

NETWORK, FILE = "mobilevit-xxs@256", "mobilevit_xxs_tf.json"


def ported() -> Graph:
    """The zoo's network with a grouped convolution in the place of each depthwise one."""
    graph = zoo.build(NETWORK, padding="symmetric")
    depthwise = [node for node in graph.nodes if isinstance(node.operator, DepthwiseConv2d)]
    return rewritten(graph, replaced={node.name: _grouped(node.operator, graph.spec(node.arguments[0]).shape[1]) for node in depthwise})


def _grouped(operator: DepthwiseConv2d, channels: int) -> GroupedConv2d:
    fields = {name: getattr(operator, name) for name in ("kernel_size", "stride", "padding", "dilation", "bias")}
    return GroupedConv2d(channels * operator.multiplier, channels, **fields)


if __name__ == "__main__":
    ported().save(Path(__file__).parents[2] / "device_profiles" / "measurements" / "graphs" / FILE)
