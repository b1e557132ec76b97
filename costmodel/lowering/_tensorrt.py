"""TensorRT on NVIDIA GPUs: an engine of fused layers, launched as one CUDA graph.

Convolutions take in batch normalisation, a clamp and the addition of a shortcut; other pointwise layers fuse among themselves (PWN layers), so that
a SiLU is one kernel after its convolution.
"""

from __future__ import annotations

from costmodel.lowering._rules import ARITHMETIC, CLAMPS, CONTRACTIONS, NONLINEARITIES, SHAPES, Fuse, FuseChains, RuleSet, deployed

RULE_SETS = (
    RuleSet(
        name="tensorrt",
        rules=(
            *deployed(
                removed="layers without effect are removed",
                viewed="reshapes and slices of constant sizes are views of a tensor",
                folded="convolution and scale fusion",
                views=SHAPES | {"Split"},
            ),
            Fuse(operators=frozenset({"Add"}), into=CONTRACTIONS, same_shape=True, reason="convolution and elementwise sum fusion"),
            Fuse(operators=CLAMPS, into=CONTRACTIONS, reason="convolution and ReLU, convolution and clip fusion"),
            FuseChains(operators=NONLINEARITIES | ARITHMETIC | {"BatchNorm"}, reason="pointwise fusion"),
        ),
        fused_attention=True,
        source="TensorRT developer guide, types of fusions (8.0)",
    ),
)
