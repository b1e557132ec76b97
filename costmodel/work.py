"""`Work`: what the mathematics of one operator demands, whatever runs it.

Two rules:

1. Work counts are nominal: taps that fall into padding are counted, as torch and published tables do.
2. Tricks are not work. im2col, tile padding, weight packing, Winograd and requantisation are how a runtime does the
   work; a law derives their counts from the loop nest (m, n, k, groups, taps, stride) given here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class WorkKind(StrEnum):
    """The closed vocabulary that operators and device profiles share; neither side names the other."""

    CONVOLUTION = "convolution"  # dense, more than one tap
    POINTWISE = "pointwise-convolution"  # dense 1x1: a matrix product over positions
    DEPTHWISE = "depthwise-convolution"  # one input channel per group
    GROUPED = "grouped-convolution"
    TRANSPOSED = "transposed-convolution"
    LINEAR = "linear"  # activations times weights
    MATMUL = "matmul"  # activations times activations
    ATTENTION = "attention"  # both matrix products and the softmax in one operator
    RECURRENT = "recurrent"  # the same weights times the state, step after step
    ELEMENTWISE = "elementwise"
    BATCH_NORM = "batch-normalisation"  # statistics fixed: a scale and a shift per channel
    NORMALISATION = "normalisation"  # statistics from the data: layer, group, instance, response
    SOFTMAX = "softmax"
    POOLING = "pooling"  # windows
    REDUCTION = "reduction"  # a whole axis or image into one value
    COPY = "copy"  # elements move, nothing is computed
    CONCAT = "concat"
    PAD = "pad"
    RESIZE = "resize"
    GATHER = "gather"
    CAST = "cast"
    VIEW = "view"  # no element moves: a decided zero
    UNMODELLED = "unmodelled"  # an operator that nobody knows; no law prices it


CONTRACTIONS = frozenset(
    {
        WorkKind.CONVOLUTION,
        WorkKind.POINTWISE,
        WorkKind.DEPTHWISE,
        WorkKind.GROUPED,
        WorkKind.TRANSPOSED,
        WorkKind.LINEAR,
        WorkKind.MATMUL,
        WorkKind.ATTENTION,
        WorkKind.RECURRENT,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The loop nest and the element counts of one operator, for the stated batch.

    A contraction is `groups` independent products of an (m, k) with a (k, n) matrix:

    - convolution: m = N*H'*W', n = C'/groups, k = C/groups * taps
    - transposed convolution: m = N*H*W of the *input*, n = C'/groups * taps, k = C/groups
    - linear: m = rows, n = outputs, k = inputs; matmul: groups = product of the batch axes
    - attention: m = queries, n = keys, k = query width + value width, groups = N*heads, so that
      m*n*k*groups is the sum of the two matrix products
    - recurrent: m = N*steps, n = gates * units, k = inputs + units; `spatial` is the number of steps, each of which needs
      the state of the one before and all the weights

    `elements_read` and `elements_written` are activations, `parameters` weights; `other_flops` is every arithmetic operation
    outside contractions, `transcendentals` how many exp, tanh, power or erf are among them, `error_functions` how many of those
    are erf, which phone runtimes compute one element at a time where they vectorise exp, and `comparisons` how many of
    `other_flops` are max pooling's, which torch takes one by one; `pairs` are of boxes that are compared one after another.
    `spatial` is H'*W' of one sample (1 where there are no positions), `stride` the larger of both.
    """

    kind: WorkKind
    m: int = 0
    n: int = 0
    k: int = 0
    groups: int = 1
    taps: int = 1
    stride: int = 1
    spatial: int = 1
    elements_read: int = 0
    elements_written: int = 0
    parameters: int = 0
    other_flops: int = 0
    transcendentals: int = 0
    error_functions: int = 0
    comparisons: int = 0
    pairs: int = 0

    @property
    def macs(self) -> int:
        """Multiply-accumulates: products added to an accumulator, contractions only."""
        return self.m * self.n * self.k * self.groups

    @property
    def flops(self) -> int:
        """``2 * macs + other_flops``."""
        return 2 * self.macs + self.other_flops


def evidence_kinds(work: Work) -> tuple[str, ...]:
    """What must have been measured for this work's time to rest on measurements: its kind, and ``exp`` or ``erf`` where
    an elementwise operator computes them.

    Examples
    --------
    >>> evidence_kinds(Work(kind=WorkKind.ELEMENTWISE, transcendentals=8, other_flops=32)) == ("elementwise", "exp")
    True
    """
    kind = work.kind
    if kind is not WorkKind.ELEMENTWISE or not work.transcendentals:
        return (kind,)
    if work.error_functions == work.transcendentals:
        return (kind, "erf")
    return (kind, "exp") if not work.error_functions else (kind, "exp", "erf")


#: Every name that `evidence_kinds` can give.
EVIDENCE_KINDS = frozenset({*map(str, WorkKind), "exp", "erf"})
