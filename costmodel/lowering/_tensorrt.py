"""TensorRT on NVIDIA GPUs: an engine of fused layers, launched as one CUDA graph.

Convolutions take in batch normalisation, a clamp and the addition of a shortcut; other pointwise layers fuse among themselves (PWN layers), so that
a SiLU is one kernel after its convolution.
"""

from __future__ import annotations

from costmodel.lowering._rules import (
    ARITHMETIC,
    CLAMPS,
    CONTRACTIONS,
    NONLINEARITIES,
    OFFLINE,
    SHAPES,
    Drop,
    Fold,
    Fuse,
    FuseChains,
    RuleSet,
    View,
)

RULE_SETS = (
    RuleSet(
        name="tensorrt",
        rules=(
            Drop(operators=OFFLINE, reason="layers without effect are removed"),
            View(operators=SHAPES | {"Split"}, reason="reshapes and slices of constant sizes are views of a tensor"),
            Fold(operators=frozenset({"BatchNorm"}), into=CONTRACTIONS, reason="convolution and scale fusion"),
            Fuse(operators=frozenset({"Add"}), into=CONTRACTIONS, same_shape=True, reason="convolution and elementwise sum fusion"),
            Fuse(operators=CLAMPS, into=CONTRACTIONS, reason="convolution and ReLU, convolution and clip fusion"),
            FuseChains(operators=NONLINEARITIES | ARITHMETIC | {"BatchNorm"}, reason="pointwise fusion"),
        ),
        fused_attention=True,
        source="TensorRT developer guide, types of fusions (8.0)",
    ),
)
