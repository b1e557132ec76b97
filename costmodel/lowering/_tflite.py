"""TensorFlow Lite on a CPU (its built-in kernels, or the XNNPACK delegate) and on a mobile GPU (the GPU delegate).

Sources: the fusions that nn-Meter detected on TFLite 2.1 (microsoft/nn-Meter, docs/quick_start and its rule files); the
schema's fused activations (none, relu, relu_n1_to_1, relu6); explicit PAD operators in the ported networks of
qed-usc/mobile-ml-benchmark (inputs of 114 = 112 + 2 in its operator list).
"""

from __future__ import annotations

from costmodel.lowering._rules import (
    ARITHMETIC,
    CLAMPS,
    CONTRACTIONS,
    CONVOLUTIONS,
    NONLINEARITIES,
    NORMALISATIONS,
    WINDOW_POOLS,
    Decompose,
    ExplicitPadding,
    Fuse,
    Rule,
    RuleSet,
    deployed,
)

_CONVERTED: tuple[Rule, ...] = deployed(
    removed="removed by the converter",
    viewed="RESHAPE copies nothing; constants are operands",
    folded="the converter folds a scale and shift into weights and bias",
)
_CPU: tuple[Rule, ...] = (
    *_CONVERTED,
    Decompose(
        operators=frozenset({"SiLU", "HardSigmoid", "BatchNorm", "ScaledDotProductAttention"}),
        reason="no such built-in operator: LOGISTIC + MUL; ADD with fused RELU6 + MUL; MUL + ADD; BATCH_MATMUL, MUL, SOFTMAX, BATCH_MATMUL",
    ),
)
_CPU_FUSIONS: tuple[Rule, ...] = (
    Fuse(operators=CLAMPS, into=CONTRACTIONS, reason="fused activation of CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED"),
    Fuse(
        operators=CLAMPS,
        into=frozenset({"Add", "Subtract", "Multiply", "Divide", "BatchNorm"}) | WINDOW_POOLS,
        reason="fused activation of ADD, SUB, MUL, DIV and the pools; a standalone batch norm ends in an ADD",
    ),
)
# On the GPU the delegate merges elementwise neighbours into the producer; scaling by (N, C, 1, 1), pools and concat stay.
_GPU: tuple[Rule, ...] = (
    *_CONVERTED,
    Decompose(operators=frozenset({"ScaledDotProductAttention"}), reason="batched products and a softmax are shaders of their own"),
    Fuse(
        operators=NONLINEARITIES | NORMALISATIONS & {"BatchNorm"} | ARITHMETIC,
        into=CONTRACTIONS | ARITHMETIC | NONLINEARITIES | {"BatchNorm"},
        same_shape=True,
        reason="the delegate's MergeElementwise: conv-bn-add-relu and add-add chains become one shader",
    ),
)

_WINDOWS = CONVOLUTIONS - {"ConvTranspose2d"} | WINDOW_POOLS
_PADDED = ExplicitPadding(operators=_WINDOWS, unless_same=False, reason="TF2 ports of torch networks pad by an operator of their own")
_PADDED_UNLESS_SAME = ExplicitPadding(operators=_WINDOWS, unless_same=True, reason="the schema knows only SAME and VALID")

_SOURCE = "nn-Meter's detected fusion rules (TFLite 2.1), the TFLite schema, qed-usc/mobile-ml-benchmark's operator list (TFLite 2.10)"
# Its fourth is why no PAD remains; and rows of phones whose launches are dear agree
# (families held out on an iPhone XS: 7.7 % without PAD, 10.4 % with it).
_GPU_SOURCE = (
    _SOURCE + "; tensorflow/lite/delegates/gpu/common/model_transformations.cc: a PAD joins the convolution, depthwise convolution or pool that reads it"
)

RULE_SETS = (
    RuleSet(name="tflite", rules=(*_CPU, _PADDED_UNLESS_SAME, *_CPU_FUSIONS), source=_SOURCE),
    RuleSet(
        name="tflite-xnnpack",
        rules=(*_CPU, *_CPU_FUSIONS),
        source="google/XNNPACK, src/subgraph.c (a constant pad of zeros joins the convolution after it) and the operators that its delegate takes",
        vectorised=True,
    ),
    RuleSet(name="tflite-padded", rules=(*_CPU, _PADDED, *_CPU_FUSIONS), source=_SOURCE),
    RuleSet(name="tflite-gpu", rules=_GPU, source=_GPU_SOURCE),
)
