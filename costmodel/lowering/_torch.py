"""PyTorch: eager (every operator a kernel), and torch.compile on a GPU and on a CPU.

torch.compile fuses pointwise, normalisation and reduction chains; convolutions and matrix products stay library calls on
a GPU, while on a CPU their pointwise consumers join them. Both are approximations of inductor chosen because they fit
measured rows: on compiled GPUs the right lowering is worth 8-9 points of error, and fitting cannot repair a wrong one.
"""

from __future__ import annotations

from costmodel.lowering._rules import (
    ARITHMETIC,
    CONTRACTIONS,
    MOVES,
    NONLINEARITIES,
    NORMALISATIONS,
    OFFLINE,
    REDUCTIONS,
    SHAPES,
    Drop,
    Fuse,
    FuseChains,
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
_EPILOGUES = Fuse(
    operators=NONLINEARITIES | ARITHMETIC | {"BatchNorm"},
    into=CONTRACTIONS,
    same_shape=True,
    reason="oneDNN post-operations and inductor's C++ epilogues; a scale of whole channels is a loop over the image of its own",
)

RULE_SETS = (
    RuleSet(
        name="torch-eager",
        rules=_COMMON,
        casts="kernels",
        strides="copied",
        fused_attention=True,
        source="PyTorch's dispatcher: one kernel an operator, casts of autocast and copies of what lies otherwise than a kernel reads it included",
    ),
    RuleSet(name="torch-compile", rules=(*_COMMON, _CHAINS), fused_attention=True, source="torch/_inductor/scheduler.py; fits timm's compiled GPU rows"),
    RuleSet(
        name="torch-compile-cpu",
        rules=(*_COMMON, _EPILOGUES, _CHAINS),
        fused_attention=True,
        source="torch/_inductor, C++ backend; fits timm's compiled CPU rows",
    ),
)
