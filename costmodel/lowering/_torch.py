"""PyTorch: eager (every operator a kernel), and torch.compile on a GPU and on a CPU.

torch.compile fuses pointwise, normalisation and reduction chains; convolutions and matrix products stay library calls, on a
CPU too unless a network is frozen, which timm's benchmark does not do: batch normalisation and activations are loops of their
own, a product copies its bias first, and small images are plain products. On compiled GPUs the right lowering is worth 8-9
points of error, and fitting cannot repair a wrong one.
"""

from __future__ import annotations

from dataclasses import replace

from costmodel.lowering._rules import (
    ARITHMETIC,
    MOVES,
    NONLINEARITIES,
    NORMALISATIONS,
    OFFLINE,
    REDUCTIONS,
    SHAPES,
    Drop,
    FuseChains,
    Recompute,
    Rule,
    RuleSet,
    View,
)

_COMMON: tuple[Rule, ...] = (
    Drop(operators=OFFLINE, reason="modules that return their input in eval mode"),
    View(operators=SHAPES | {"Split", "Slice", "Permute", "Windows"}, reason="strided views of the same storage"),
)
_CHAINS = FuseChains(
    operators=NONLINEARITIES
    | ARITHMETIC
    | NORMALISATIONS
    | REDUCTIONS
    | MOVES
    | {"Softmax", "Concat", "Pad", "PadChannels", "ChannelShuffle", "Resize", "RelativePositionBias", "ShiftedWindowMask"},
    reason="inductor schedules pointwise and reduction nodes into one Triton or C++ loop nest",
)
#: Nonlinearities that read their input several times, in torch's decompositions: Inductor keeps what they read where that takes more than four reads
#: (`realize_reads_threshold` of torch/_inductor/config.py), as batch normalisation does, and computes what they make of it wherever it is used.
_READ_AGAIN = Recompute(
    operators=frozenset({"SiLU", "HardSwish", "GELU", "TanhGELU", "ELU", "LeakyReLU"}),
    after=frozenset({"BatchNorm"}),
    reductions=REDUCTIONS,
    reason="Inductor keeps a batch normalisation that is read twice, in fp32 for the casts of autocast around it are removed (`pointless_convert` of "
    "torch/_inductor/fx_passes/joint_graph.py; torch 2.13 leaves narrowing ones, the measured build is 2.9.1). That a mean of what is computed again is "
    "a kernel of its own is read from timm's rows: with it fused EfficientNets are predicted 9 % too fast, networks with ReLU are not",
)
#: Elements of an image up to which torch's CPU build takes its own plain product for a dense convolution of batch 1
#: (`ConvParams::use_mkldnn` of aten/src/ATen/native/Convolution.cpp: "for some case, native is faster").
_PLAIN_ELEMENTS = 20480

_EAGER = RuleSet(
    name="torch-eager",
    rules=_COMMON,
    casts="kernels",
    strides="copied",
    fused_attention=True,
    source="PyTorch's dispatcher: one kernel an operator, casts of autocast and copies of what lies otherwise than a kernel reads it included",
)

RULE_SETS = (
    _EAGER,
    replace(
        _EAGER,
        name="torch-eager-2.4",
        composed_attention="half",
        source="as torch-eager; up to torch 2.4 composed attention stays in half precision (release notes of 2.5: SDPA's math backend)",
    ),
    RuleSet(
        name="torch-compile", rules=(*_COMMON, _CHAINS, _READ_AGAIN), fused_attention=True, source="torch/_inductor/scheduler.py; fits timm's compiled GPU rows"
    ),
    RuleSet(
        name="torch-compile-cpu",
        rules=(*_COMMON, _CHAINS),
        fused_attention=True,
        mask_ranks=frozenset({2, 4}),
        biases="copied",
        plain_elements=_PLAIN_ELEMENTS,
        source="torch/_inductor, C++ backend without freezing, its output for RepViT, SelecSLS, Swin and TinyViT (torch 2.13); addmm_impl_cpu_ of "
        "aten/src/ATen/native/LinearAlgebra.cpp; check_attn_mask_shape of aten/src/ATen/native/transformers/sdp_utils_cpp.h",
    ),
)
