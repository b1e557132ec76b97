"""ncnn on Arm CPUs.

Sources, all of Tencent/ncnn 20250428: tools/ncnnoptimize.cpp (what benchncnn's networks went through: normalisations into weights, nonlinearities into layers
with weights), src/layer/arm/arm_activation.h (the nonlinearities that such layers know: ReLU, LeakyReLU, Clip, Sigmoid, Mish, HardSwish),
src/layer/convolution.cpp and pooling.cpp (a padded window reads a copy with a border, `copy_make_border`), src/layer/slice.cpp, concat.cpp and
shufflechannel.cpp (each copies). Which convolutions Winograd's transforms take is the law's business: it sees windows, strides and channels.

`ncnn-2020` is of the builds of 2019 and 2020, whose int8 networks are other files (benchmark/*_int8.param: nonlinearities are layers of their own, fully
connected layers have weights in floating point) and whose convolutions all read and write fp32, as nothing is requantised unless a build asks for it
(NCNN_REQUANT, src/net.cpp). Source: Tencent/ncnn of 2020, a copy in the source package of srmd-ncnn-vulkan-python 1.0.1. In floating point it lowers
as `ncnn`.
"""

from __future__ import annotations

from costmodel.lowering._rules import CLAMPS, CONTRACTIONS, CONVOLUTIONS, WINDOW_POOLS, Decompose, ExplicitPadding, Fuse, Quantise, RuleSet, Widen, deployed

#: Layers that compute in floating point in int8 networks too.
FLOATING = frozenset({"ConvTranspose2d", "ConvTranspose3d", "Conv3d"})

_LAYERS = (
    *deployed(
        removed="ncnnoptimize removes Dropout and Noop",
        viewed="Reshape and Flatten share memory but for a change of packing; MemoryData is an operand",
        folded="ncnnoptimize: fuse_convolution_batchnorm and its like",
    ),
    Decompose(operators=frozenset({"ScaledDotProductAttention"}), reason="MultiHeadAttention calls Gemm, Softmax and Gemm"),
    ExplicitPadding(
        operators=CONVOLUTIONS - {"ConvTranspose2d", "ConvTranspose3d"} | WINDOW_POOLS, unless_same=False, reason="copy_make_border before the kernel"
    ),
    Fuse(
        operators=CLAMPS | {"Clamp", "LeakyReLU", "Sigmoid", "HardSwish"},
        into=CONTRACTIONS,
        reason="ncnnoptimize: fuse_convolution_activation and its like; Swish, GELU and HardSigmoid stay layers",
    ),
    Widen(operators=frozenset({"LocalResponseNorm"}), reason="lrn_arm.cpp knows no fp16, so that Net::convert_layout casts around it"),
)

RULE_SETS = (
    RuleSet(
        name="ncnn",
        rules=(
            *_LAYERS,
            Quantise(
                operators=CONTRACTIONS - FLOATING,
                apart=CONVOLUTIONS - FLOATING,
                reason="forward_int8_arm quantises what is not int8 yet; ncnn2int8's fuse_requantize keeps int8 between such layers alone, else a nonlinearity "
                "runs over what a convolution has dequantised (convolution_arm.cpp; innerproduct_arm.cpp applies it in passing)",
            ),
        ),
        source="Tencent/ncnn 20250428, tools/ncnnoptimize.cpp and src/layer",
        vectorised=True,
    ),
    RuleSet(
        name="ncnn-2020",
        rules=(
            *_LAYERS,
            Quantise(
                operators=CONVOLUTIONS - FLOATING,
                apart=CONTRACTIONS,
                requantised=False,
                reason="forward_int8_arm quantises fp32 and dequantises what it has summed; ReLU is a layer of the files, over fp32, also after InnerProduct",
            ),
        ),
        source="Tencent/ncnn of 2020, src/net.cpp, src/layer/arm/convolution_arm.cpp, convolutiondepthwise_arm.cpp and benchmark",
        vectorised=True,
    ),
)
