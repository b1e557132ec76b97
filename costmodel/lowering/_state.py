"""What a lowering works on: a rule set as look-ups, the dtypes of one call, storages, and kernels that may still grow."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from costmodel.lowering._rules import Decompose, Delegate, Drop, ExplicitPadding, Fold, Fuse, FuseChains, Quantise, Recompute, RuleSet, View, Widen
from costmodel.tensor import DType
from costmodel.work import Work

#: What autocast computes contractions in.
HALF = DType.FP16


@dataclass(frozen=True, slots=True)
class Compiled:
    """A rule set turned into look-ups by operator class."""

    aliases: frozenset[str]
    decomposed: dict[str, frozenset[str]]  # class -> parts that join the part before
    padded: dict[str, bool]  # class -> spared when SAME
    folds: dict[str, frozenset[str]]
    fusions: dict[str, tuple[Fuse, ...]]
    chains: frozenset[str]
    recompute: Recompute | None
    delegate: Delegate | None
    quantised: frozenset[str]
    apart: frozenset[str]  # what nothing is fused into whose joint result is read in floating point
    requantised: bool  # what is quantised writes int8 for others of its kind
    widened: frozenset[str]


@lru_cache(maxsize=64)
def compile_rules(rules: RuleSet) -> Compiled:
    aliases: set[str] = set()
    decomposed: dict[str, frozenset[str]] = {}
    padded: dict[str, bool] = {}
    folds: dict[str, frozenset[str]] = {}
    fusions: dict[str, tuple[Fuse, ...]] = {}
    chains: set[str] = set()
    quantised: set[str] = set()
    apart: set[str] = set()
    widened: set[str] = set()
    requantised = True
    recompute = None
    delegate = None
    for rule in rules.rules:
        if isinstance(rule, Drop | View):
            aliases |= rule.operators
        elif isinstance(rule, Decompose):
            decomposed |= dict.fromkeys(rule.operators - aliases, rule.absorbed)
        elif isinstance(rule, ExplicitPadding):
            padded |= dict.fromkeys(rule.operators, rule.unless_same)
        elif isinstance(rule, Fold):
            folds |= dict.fromkeys(rule.operators, rule.into)
        elif isinstance(rule, Fuse):
            for name in rule.operators:
                fusions[name] = (*fusions.get(name, ()), rule)
        elif isinstance(rule, FuseChains):
            chains |= rule.operators
        elif isinstance(rule, Recompute):
            recompute = rule
        elif isinstance(rule, Quantise):
            quantised |= rule.operators
            apart |= rule.apart
            requantised &= rule.requantised
        elif isinstance(rule, Widen):
            widened |= rule.operators
        else:
            delegate = rule
    sets = frozenset(quantised), frozenset(apart), requantised, frozenset(widened)
    return Compiled(frozenset(aliases), decomposed, padded, folds, fusions, frozenset(chains), recompute, delegate, *sets)


@dataclass(slots=True, eq=False)
class Storage:
    """Memory of one activation: elements, type, who writes it, who reads it."""

    name: str
    elements: int
    dtype: DType
    depth: int = 0
    constant: bool = False
    writer: Open | None = None
    readers: list[Open] = field(default_factory=list)
    uses: int = 0
    half_readers: int = 0
    float_read: bool = False  # not all readers quantise it
    is_output: bool = False
    recomputed: bool = False  # what is stored is what this is computed from, in fp32


@dataclass(slots=True, eq=False)
class Open:
    """A kernel that may still grow."""

    name: str
    anchor: str
    position: int
    dtype: DType
    depth: int = 0
    chain: bool = False
    operators: list[str] = field(default_factory=list)
    works: list[Work] = field(default_factory=list)
    reads: list[tuple[Storage, int]] = field(default_factory=list)
    constant_elements: int = 0
    written_weight_bytes: int = 0
    writes: list[Storage] = field(default_factory=list)
    last: str = ""
    folded: bool = False
    merged_into: Open | None = None
    layout: str = ""
