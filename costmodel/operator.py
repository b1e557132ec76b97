"""`Operator`: the base class of every operator, and the registry that `@operator` fills.

An operator is one frozen dataclass in one family file of `costmodel.ops`: its attributes are its fields, and it says
what shape comes out, which parameters it has, what work that is, and how torch computes it. Nothing else in the
package mentions an operator by name, fusion rules aside.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, TypeVar, dataclass_transform

from costmodel.errors import UsageError, unknown
from costmodel.recognition import Added, Call, Operand
from costmodel.tensor import TensorSpec
from costmodel.work import Work, WorkKind

Specs = tuple[TensorSpec, ...]
Shapes = Mapping[str, tuple[int, ...]]

#: The family modules, in which `find_operator` looks; one line a file of `costmodel/ops`.
FAMILIES = (
    *("arithmetic", "attention", "blocks", "convolution", "detection", "elementwise", "functions", "layout", "matmul", "normalisation", "padding"),
    *("pooling", "recurrent", "resize", "stored", "unknown", "volumes"),
)

#: Entry point group under which packages offer modules with operators of their own.
PLUGINS = "costmodel.ops"

_REGISTRY: dict[str, type[Operator]] = {}


@dataclass(frozen=True, slots=True)
class Padding:
    """How far an image is padded before a window operator: elements added on each side, and whether that is TensorFlow's SAME."""

    top: int
    bottom: int
    left: int
    right: int
    is_same: bool

    @property
    def any(self) -> bool:
        """Whether a single element is added."""
        return bool(self.top or self.bottom or self.left or self.right)


@dataclass(frozen=True, slots=True)
class Part:
    """One primitive kernel of an operator that a runtime lacks: a suffix for its name, its work, and what it reads.

    `operands` are positions among the operator's inputs; every part but the first also reads the result of the one before.
    """

    suffix: str
    work: Work
    operands: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """An operator with inputs that it takes; feeds the conformance tests, the docs and the microbenchmarks."""

    operator: Operator
    inputs: Specs


class Operator:
    """A graph node's meaning. Subclasses are frozen dataclasses made by the `operator` decorator.

    Class attributes
    ----------------
    autocast : the policy of torch.autocast: ``"half"`` casts the inputs to half precision, ``"full"`` to fp32,
        ``"widest"`` computes in the widest input type.
    aten, onnx : names by which importers recognise the operator; `from_aten` and `from_onnx` read such a call.
    REARRANGES : the output has the input's elements, in another order or shape at most: a stored weight stays one through it.
    """

    __slots__ = ()

    autocast: ClassVar[str] = "widest"
    aten: ClassVar[tuple[str, ...]] = ()
    onnx: ClassVar[tuple[str, ...]] = ()
    REARRANGES: ClassVar[bool] = False

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self).__name__, self._values()))

    def __repr__(self) -> str:
        fields = getattr(self, "__dataclass_fields__", ())
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in fields)})"

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in getattr(self, "__dataclass_fields__", ()))

    def infer(self, *inputs: TensorSpec) -> Specs:
        """Specs of the outputs.

        Raises
        ------
        ShapeError
            If the operator cannot take these shapes; says why.
        """
        raise TypeError(f"{type(self).__name__} must define infer()")

    def parameters(self, *inputs: TensorSpec) -> Shapes:
        """Shapes of the learnable tensors by name, buffers excluded."""
        return {}

    def statistics(self, *inputs: TensorSpec) -> Shapes:
        """Shapes of the running means (``running_mean``) and variances that training keeps beside the learnable tensors; none for most."""
        return {}

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        """The work that the mathematics demands."""
        raise TypeError(f"{type(self).__name__} must define work()")

    def parts(self, inputs: Specs, outputs: Specs) -> tuple[Part, ...]:
        """The primitive kernels that make up this operator where a runtime has no kernel of its own.

        Their MACs and other FLOPs add up to those of `work`.
        """
        return (Part("", self.work(inputs, outputs), tuple(range(len(inputs)))),)

    def fvcore_flops(self, inputs: Specs, outputs: Specs) -> int:
        """What fvcore (0.1.5) counts for this operator under the name flops: MACs of contractions, 0 for what it skips.

        Source: fvcore/nn/flop_count.py and jit_handles.py; fused attention has no handle there and counts 0.
        """
        work = self.work(inputs, outputs)
        return work.macs if work.kind is not WorkKind.ATTENTION else 0

    def padding_of(self, *inputs: TensorSpec) -> Padding | None:
        """The padding that a window operator applies to its input; None for all others."""
        return None

    def run(self, *tensors: Any, **weights: Any) -> Any:
        """The operator computed by torch: a tensor, or a tuple of them for several outputs."""
        raise TypeError(f"{type(self).__name__} must define run()")

    @classmethod
    def from_aten(cls, call: Call) -> Operand | Added | None:
        """The operators that a call of PyTorch's dispatcher is; None if it is another class's. See `costmodel.recognition`.

        An operator without attributes takes all tensor arguments.
        """
        return call.add(cls(), *call.tensors)

    @classmethod
    def from_onnx(cls, call: Call) -> Operand | Added | None:
        """As `from_aten`, for a node of an ONNX graph; inputs and attributes have the names of the ONNX schema."""
        return call.add(cls(), *call.tensors)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Three to six instances with inputs."""
        return ()


OperatorType = TypeVar("OperatorType", bound=Operator)


@dataclass_transform(frozen_default=True)
def operator(cls: type[OperatorType]) -> type[OperatorType]:
    """Make `cls` a frozen, slotted dataclass and register it under its class name.

    Raises
    ------
    UsageError
        If the name is taken: two operators of one name could not be told apart in a saved graph.
    """
    made = dataclass(frozen=True, slots=True, eq=False, repr=False)(cls)  # the base has both: a third of the time to make a class
    if made.__name__ in _REGISTRY and _REGISTRY[made.__name__].__module__ != made.__module__:
        raise UsageError(f"an operator named {made.__name__!r} is registered already, by {_REGISTRY[made.__name__].__module__}")
    _REGISTRY[made.__name__] = made
    return made


def operators() -> dict[str, type[Operator]]:
    """Every operator class by name, all families loaded."""
    for family in FAMILIES:
        importlib.import_module(f"costmodel.ops.{family}")
    return dict(_REGISTRY)


@cache
def load_plugins() -> None:
    """Import the modules that installed packages offer under the entry point group ``costmodel.ops``, so that their operators register.

    Called when a name is known nowhere else, because looking for entry points takes longer than most commands.

    Raises
    ------
    UsageError
        If such a module cannot be imported; names the entry point.
    """
    from importlib.metadata import entry_points

    for entry in entry_points(group=PLUGINS):
        try:
            entry.load()
        except Exception as error:
            raise UsageError(f"the entry point {entry.name!r} ({entry.value}) of the group {PLUGINS} cannot be loaded: {error}") from error


def readers(dialect: str) -> dict[str, list[type[Operator]]]:
    """Operator classes by the names of the calls that they recognise.

    Parameters
    ----------
    dialect : the class attribute that holds the names, ``aten`` or ``onnx``.
    """
    found: dict[str, list[type[Operator]]] = {}
    for cls in operators().values():
        for name in getattr(cls, dialect):
            found.setdefault(name, []).append(cls)
    return found


def find_operator(name: str) -> type[Operator]:
    """The operator class called `name`.

    Raises
    ------
    UnknownNameError
        With close matches, if there is none.
    """
    found = _REGISTRY.get(name)
    if found is None:
        found = operators().get(name)
        if found is None:
            load_plugins()
            found = _REGISTRY.get(name)
        if found is None:
            raise unknown("operator", name, operators())
    return found


VIEW_WORK = Work(kind=WorkKind.VIEW)
