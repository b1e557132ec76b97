"""Sizes of the tensors of a ``.pt2`` file: numbers, symbols, and sympy expressions of symbols in words."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from costmodel.errors import UsageError
from costmodel.tensor import DType, TensorSpec

#: Largest size of a tensor, and longest expression of one: sizes are whole numbers of less than 64 bits in torch.
MAX_SIZE, MAX_EXPRESSION = 2**63, 10_000
#: Stands for the batch where the file leaves it open: no sensible network has it among its sizes.
PRIME = 1009
#: torch/_export/serde/schema.py, ScalarType.
_TYPES = {
    1: DType.INT8,
    2: DType.INT8,
    3: DType.INT32,
    4: DType.INT32,
    5: DType.INT64,
    6: DType.FP16,
    7: DType.FP32,
    8: DType.FP32,
    12: DType.BOOL,
    13: DType.BF16,
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """Shapes of the tensors of one graph, with a number for every symbol.

    `batch` is the symbol that alone is dimension 0 of the first input, "" where there is none or it has a size; `PRIME`
    stands for it. `example` is what that dimension was in the example that the program was exported with.
    """

    values: Mapping[str, Any]
    ints: Mapping[str, Any]
    symbols: Mapping[str, int]
    batch: str
    example: int

    def within(self, graph: Mapping[str, Any]) -> Sizes:
        """The sizes of a graph inside this one, which has the same symbols."""
        return Sizes(graph["tensor_values"], graph.get("sym_int_values", {}), self.symbols, self.batch, self.example)

    def number(self, size: Any) -> int:
        """A size: a number, or an expression of symbols."""
        if "as_int" in size:
            found = size["as_int"]
        elif "as_name" in size:
            return self.number(self.ints[size["as_name"]])
        else:
            found = _evaluate(size["as_expr"]["expr_str"], self.symbols)
        if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found < MAX_SIZE:
            raise ValueError(f"the size {str(found)[:40]} is no whole number from 0 to 2^63")
        return found

    def spec(self, name: str) -> TensorSpec:
        """Shape and type of a tensor."""
        meta = self.values[name]
        try:
            return TensorSpec(tuple(self.number(size) for size in meta["sizes"]), _TYPES.get(meta["dtype"], DType.FP32))
        except (ValueError, KeyError) as error:
            raise ValueError(f"the tensor {name!r}: {error}") from None


def sizes_of(graph: Mapping[str, Any], inputs: list[str], dims: Mapping[str, int]) -> Sizes:
    """The sizes of a program whose inputs are `inputs`; `dims` says what its symbols are, by name or by place (``x.2``).

    Raises
    ------
    UsageError
        If a symbol has no size: names all of them, or if `dims` names none of the file's.
    """
    values: Mapping[str, Any] = graph["tensor_values"]
    first = values[inputs[0]]["sizes"]
    batch = _symbol(first[0]) if first else ""
    places = _places(values, inputs)
    wanted = sorted({name for value in _values(graph) for size in value["sizes"] for name in _symbols(size)} - {batch})
    known = {**{name: name for name in (*wanted, batch) if name}, **places}
    given: dict[str, int] = {}
    for name, size in dims.items():
        if name not in known:
            raise UsageError(f"--dim {name}: the file has no such size; it has {_listed(wanted, places) or 'only its batch'}")
        given[known[name]] = size
    missing = [name for name in wanted if name not in given]
    if missing:
        noun, verb = ("sizes", "are") if len(missing) > 1 else ("size", "is")
        options = " ".join(f"--dim {name}=N" for name in missing)
        raise UsageError(f"the {noun} {_listed(missing, places)} {verb} left open by the file: give {options}")
    if batch in given:
        batch = ""
    return Sizes(values, graph.get("sym_int_values", {}), given | ({batch: PRIME} if batch else {}), batch, _example(first[0]) if first else 1)


def _places(values: Mapping[str, Any], inputs: list[str]) -> dict[str, str]:
    """Input and axis, ``x.2``, of every symbol that alone is a size of an input: the file does not keep the names that its author gave them."""
    found = {f"{name}.{axis}": _symbol(size) for name in inputs for axis, size in enumerate(values[name]["sizes"])}
    return {place: symbol for place, symbol in found.items() if symbol}


def _listed(names: list[str], places: dict[str, str]) -> str:
    where = {places[place]: place for place in reversed(places)}
    return ", ".join(f"{name} ({where[name]})" if name in where else name for name in names)


def _values(graph: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every tensor of a graph and of those inside it."""
    yield from graph["tensor_values"].values()
    for inner in graphs_inside(graph):
        yield from _values(inner)


def graphs_inside(graph: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The graphs among the arguments of a graph's nodes."""
    for node in graph["nodes"]:
        for entry in node["inputs"]:
            if "as_graph" in entry["arg"]:
                yield entry["arg"]["as_graph"]["graph"]


def _example(size: Mapping[str, Any]) -> int:
    return int(size["as_int"] if "as_int" in size else size["as_expr"]["hint"]["as_int"])


def _symbol(size: Mapping[str, Any]) -> str:
    """The symbol that a size is; empty where it is a number or an expression."""
    names = _symbols(size)
    return names[0] if len(names) == 1 and str(size["as_expr"]["expr_str"]).startswith("Symbol(") else ""


def _symbols(size: Mapping[str, Any]) -> list[str]:
    if "as_expr" not in size:
        return []
    tree = _parsed(size["as_expr"]["expr_str"])
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Symbol")
    return sorted({str(node.args[0].value) for node in calls if node.args and isinstance(node.args[0], ast.Constant)})


_FUNCTIONS: dict[str, Callable[..., int]] = {
    "Add": lambda *terms: sum(terms),
    "FloorDiv": lambda a, b: a // b,
    "CleanDiv": lambda a, b: a // b,
    "Max": max,
    "Min": min,
    "Mod": lambda a, b: a % b,
    "PythonMod": lambda a, b: a % b,
}


def _evaluate(text: str, symbols: Mapping[str, int]) -> int:
    """A sympy expression in words, such as ``Mul(Integer(2), Symbol('s77', positive=True, integer=True))``."""

    def value(node: ast.AST) -> int:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in ("Symbol", "Integer"):
                (constant, *_) = node.args
                inner = constant.operand if isinstance(constant, ast.UnaryOp) else constant
                assert isinstance(inner, ast.Constant)
                if node.func.id == "Symbol":
                    return symbols[str(inner.value)]
                return -int(inner.value) if inner is not constant else int(inner.value)  # type: ignore[arg-type]  # a faulty literal raises
            arguments = [value(argument) for argument in node.args]
            if node.func.id == "Mul":
                product = 1
                for factor in arguments:
                    product *= factor
                    if abs(product) > MAX_SIZE:
                        raise ValueError("a size is larger than 2^63")
                return product
            if node.func.id in _FUNCTIONS:
                return int(_FUNCTIONS[node.func.id](*arguments))
        raise ValueError(f"the size {text[:100]!r} is an expression that is not known")

    return value(_parsed(text).body)


def _parsed(text: Any) -> ast.Expression:
    """The syntax of an expression."""
    if not isinstance(text, str) or len(text) > MAX_EXPRESSION:
        raise ValueError(f"the size {str(text)[:100]!r} is no expression, or longer than {MAX_EXPRESSION} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Python about the expression
            return ast.parse(text, mode="eval")
    except SyntaxError as error:
        raise ValueError(f"the size {text[:100]!r} is no expression: {error.msg}") from None
