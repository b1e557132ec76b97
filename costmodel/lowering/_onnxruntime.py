"""ONNX Runtime on a CPU, with all its graph optimisations.

What the optimiser made of files that this package exports was read off its optimised models (`SessionOptions.optimized_model_filepath`, 1.31, x86):
mobilenet-v2 is 52 convolutions, a mean and a Gemm; resnet-18 20 convolutions, a pooling, a mean and a Gemm; efficientnet-b0's SiLUs are one operator each.
The copies between its blocked layout of channels and the plain one (ReorderInput, ReorderOutput) are not kernels here.
"""

from __future__ import annotations

from costmodel.lowering._rules import CLAMPS, CONVOLUTIONS, Decompose, Fuse, RuleSet, deployed

RULE_SETS = (
    RuleSet(
        name="onnxruntime",
        rules=(
            *deployed(
                removed="EliminateIdentity, EliminateDropout",
                viewed="Reshape and its kin may use their input's buffer",
                folded="ConvBatchNormFusion",
                into=CONVOLUTIONS,
            ),
            Decompose(
                operators=frozenset({"ScaledDotProductAttention"}),
                absorbed=frozenset({"scale"}),
                reason="written as MatMul, Softmax, MatMul; MatMulScaleFusion takes the scale into the first",
            ),
            Fuse(
                operators=CLAMPS | {"HardSwish", "HardSigmoid", "LeakyReLU", "Sigmoid", "Tanh"},
                into=CONVOLUTIONS | {"BatchNorm"},
                reason="ConvActivationFusion; a normalisation that nothing could take in becomes a convolution of single channels",
            ),
            Fuse(operators=CLAMPS, into=frozenset({"Linear"}), reason="GemmActivationFusion"),
            Fuse(operators=frozenset({"Add"}), into=CONVOLUTIONS, same_shape=True, reason="the layout transformer's convolution adds to its output"),
        ),
        source="onnxruntime/core/optimizer (the transformers are named in each reason) and optimised models of 1.31 on x86",
        vectorised=True,
    ),
)
