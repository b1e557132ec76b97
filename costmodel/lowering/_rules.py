"""The vocabulary of rules, and the registry of rule sets.

A rule set is an ordered tuple of rules. An operator that is dropped or a view is no kernel; every other becomes one, or its
parts where it is decomposed, with a CAST before it where it quantises, casts around it where it widens, and a PAD where its padding is explicit;
the folds and then the fusions, tried in order, may merge it into the kernel that produces its input. A later rule of one kind overrides an earlier
one for an operator that both name. Operators are named by class; no other module outside `ops` does so.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Literal

from costmodel.errors import unknown

#: Operator classes that rules share by role.
CONVOLUTIONS = frozenset({"Conv2d", "DepthwiseConv2d", "GroupedConv2d", "ConvTranspose2d", "StandardisedConv2d", "Conv3d", "ConvTranspose3d"})
CONTRACTIONS = CONVOLUTIONS | {"Linear"}
CLAMPS = frozenset({"ReLU", "ReLU6"})
NONLINEARITIES = CLAMPS | {
    "Clamp",
    "LeakyReLU",
    "PReLU",
    "SharedPReLU",
    "ELU",
    "Sigmoid",
    "Tanh",
    "SiLU",
    "HardSigmoid",
    "HardSwish",
    "GELU",
    "TanhGELU",
    "Function",
}
ARITHMETIC = frozenset({"Add", "Subtract", "Multiply", "Divide", "Scale", "LayerScale", "Offset", "Pairwise", "Select"})
NORMALISATIONS = frozenset({"BatchNorm", "LayerNorm", "RMSNorm", "GroupNorm", "LocalResponseNorm", "L2Norm"})
WINDOW_POOLS = frozenset({"MaxPool2d", "AvgPool2d"})
REDUCTIONS = frozenset({"AdaptiveAvgPool2d", "AdaptiveMaxPool2d", "Mean", "Reduce"})
#: Elements moved by position, without arithmetic.
MOVES = frozenset({"Roll", "Flip", "Repeat", "Index", "Gather", "Cast", "PadAxes", "DepthToSpace", "SpaceToDepth", "Patches"})
#: Never a kernel anywhere: gone offline, or a shape on the same bytes.
OFFLINE = frozenset({"Dropout", "Identity"})
SHAPES = frozenset({"Reshape", "Flatten", "Expand", "ExpandBatch", "Parameter", "Constant"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """`operators` do nothing at inference: their output is their input."""

    operators: frozenset[str]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """`operators` only describe the same bytes otherwise: no kernel."""

    operators: frozenset[str]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decompose:
    """`operators` have no kernel of their own and run as their parts; a part whose suffix is in `absorbed` joins the part before it."""

    operators: frozenset[str]
    reason: str
    absorbed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplicitPadding:
    """Window `operators` that pad get a PAD kernel before them; `unless_same` spares padding that equals TensorFlow's SAME."""

    operators: frozenset[str]
    unless_same: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """`operators` directly after one of `into`, its only consumer, vanish into its weights offline: a bias remains."""

    operators: frozenset[str]
    into: frozenset[str]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fuse:
    """`operators` run inside the kernel that produces an input, if that kernel's anchor is one of `into` and nobody else reads the tensor.

    `same_shape` asks that every input of the operator has the shape of its output (no broadcast scaling).
    """

    operators: frozenset[str]
    into: frozenset[str]
    reason: str
    same_shape: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FuseChains:
    """Neighbouring `operators` share a kernel when no kernel of another kind lies on any path between them."""

    operators: frozenset[str]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recompute:
    """What one of `operators` makes of a result of one of `after` is not stored where several chain operators and nothing else use it, a reduction among
    them: each kernel computes it again from that result, which is stored in fp32, and the reduction is a kernel of its own.
    """

    operators: frozenset[str]
    after: frozenset[str]
    reductions: frozenset[str]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegate:
    """All `operators` that need no result of another kind run on `partition`, as one subgraph; then the rest on the host."""

    operators: frozenset[str]
    partition: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantise:
    """Under int8 `operators` alone compute in it: each makes its own int8 copy of what others wrote or read, too, in floating point.

    No `Fuse` joins anything to one of `apart` where the joint result is read in floating point. What one of `operators` writes for others of them alone
    stays int8; unless `requantised`, it is fp32, as all else then is, of whatever dtype the program is called.
    """

    operators: frozenset[str]
    reason: str
    apart: frozenset[str] = frozenset()
    requantised: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Widen:
    """Under fp16 `operators`, of one result and without padding, compute in fp32, each between casts of its own."""

    operators: frozenset[str]
    reason: str


Rule = Drop | View | Decompose | ExplicitPadding | Fold | Fuse | FuseChains | Recompute | Delegate | Quantise | Widen


def deployed(*, removed: str, viewed: str, folded: str, into: frozenset[str] = CONTRACTIONS, views: frozenset[str] = SHAPES) -> tuple[Drop, View, Fold]:
    """What every tool that readies a trained network for inference does; `removed`, `viewed` and `folded` are the reasons by which one does it."""
    return (
        Drop(operators=OFFLINE, reason=removed),
        View(operators=views, reason=viewed),
        Fold(operators=frozenset({"BatchNorm"}), into=into, reason=folded),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSet:
    """How one runtime lowers graphs.

    `casts` says what a change of dtype under autocast costs: ``"kernels"`` of their own, or ``"fused"`` into neighbours. `strides` says
    what becomes of tensors that an operator cannot read as they lie: nothing, a copy by a kernel of its own, or a copy that joins its neighbours.
    `fused_attention` says that attention called as one operation is one kernel also where something is added to its scores; `mask_ranks` are the dimensions
    that what is added may have for that, any where it is None. `composed_attention` is the precision under autocast of such a call that no fused kernel
    takes, which runs as its parts. `biases` says what becomes of a product's: ``"added"`` by its kernel to its results, or ``"copied"`` to where those go
    before it, by a kernel of their own. `plain_elements` are those of an image up to which a dense convolution of batch 1 and at most nine taps is a
    plain product, behind a kernel that lays windows of several taps out as rows; 0 where there is no such image. `vectorised` says that
    all kernels of its CPU build are written for a core's vectors, so that windows of single channels follow its multipliers as products do.
    """

    name: str
    rules: tuple[Rule, ...]
    source: str
    casts: Literal["kernels", "fused"] = "fused"
    strides: Literal["ignored", "copied", "fused"] = "ignored"
    fused_attention: bool = False
    composed_attention: Literal["full", "half"] = "full"
    mask_ranks: frozenset[int] | None = None
    biases: Literal["added", "copied"] = "added"
    plain_elements: int = 0
    vectorised: bool = False


#: Rule set -> the file of this folder that declares it as `RULE_SETS`.
FILE_OF_RULE_SET = {
    "tflite": "_tflite",
    "tflite-padded": "_tflite",
    "tflite-gpu": "_tflite",
    "tflite-xnnpack": "_tflite",
    "ncnn": "_ncnn",
    "ncnn-2020": "_ncnn",
    "edgetpu": "_edgetpu",
    "torch-eager": "_torch",
    "torch-eager-2.4": "_torch",
    "torch-compile": "_torch",
    "torch-compile-cpu": "_torch",
    "onnxruntime": "_onnxruntime",
    "tensorrt": "_tensorrt",
}


def rule_sets() -> tuple[str, ...]:
    """Names of all rule sets."""
    return tuple(FILE_OF_RULE_SET)


def rule_set(name: str) -> RuleSet:
    """The rule set called `name`.

    Raises
    ------
    UnknownNameError
        If there is none; with close matches.
    """
    file = FILE_OF_RULE_SET.get(name)
    if file is None:
        raise unknown("lowering rule set", name, FILE_OF_RULE_SET)
    declared: tuple[RuleSet, ...] = importlib.import_module(f"costmodel.lowering.{file}").RULE_SETS
    return next(rules for rules in declared if rules.name == name)
