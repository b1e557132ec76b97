"""A ``.pt2`` file as a `Trace`, from the JSON in its archive alone: no weights are loaded, nothing is unpickled, torch is not needed.

The format is torch.export.save's (torch/_export/serde/schema.py, major version 8): ``models/model.json`` holds nodes with
named arguments, and a shape for every tensor; sizes that depend on a symbol are sympy expressions in words.
"""

from __future__ import annotations

import ast
import json
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from costmodel.errors import InvalidFileError, UsageError
from costmodel.files import MAX_JSON, require_regular
from costmodel.importers._assemble import Imported, assemble
from costmodel.importers._rim import reading
from costmodel.importers._trace import Name, Trace, TracedCall
from costmodel.recognition import Operand, Origin
from costmodel.tensor import DType, TensorSpec

#: Largest size of a tensor, and longest expression of one: sizes are whole numbers of less than 64 bits in torch.
MAX_SIZE, MAX_EXPRESSION = 2**63, 10_000
#: Major versions of the schema that are read; the last is torch 2.8's and later.
MAJORS = (7, 8)
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
_PRIME = 1009


def read_pt2(path: str | Path, *, dims: Mapping[str, int] | None = None, batch: int | None = None) -> Imported:
    """The graph of an exported program that ``torch.export.save`` wrote.

    Parameters
    ----------
    dims : sizes of the program's symbols by name; the one that is dimension 0 of the inputs need not be given.
    batch : of the graph; None takes 1 where the program leaves it open, otherwise that of the example it was exported with.

    Raises
    ------
    InvalidFileError
        If the file is no such archive: names the place. A pickle (``.pt``, ``.pth``) is refused unread.
    UsageError
        If a symbol has no size, or `dims` names none of the file's.
    """
    with reading(path, "a .pt2 archive"):
        document = _document(Path(path))
        trace, example = _trace(document, Path(path).stem, dict(dims or {}))
        if batch is not None and not trace.chosen and batch != trace.batch:
            return _rescaled(assemble(trace), batch)
        own = 1 if trace.chosen else example
        return assemble(trace, batch=own if batch is None else batch)


def _rescaled(imported: Imported, batch: int) -> Imported:
    return Imported(imported.graph.with_batch(batch), imported.sources)


def _document(path: Path) -> dict[str, Any]:
    """The program's JSON."""
    require_regular(path)
    try:
        if not zipfile.is_zipfile(path):
            raise InvalidFileError(f"{path}: is no .pt2 archive; torch.export.save(torch.export.export(module, inputs), 'model.pt2') writes one")
        with zipfile.ZipFile(path) as archive:
            if min((info.header_offset for info in archive.infolist()), default=0):
                raise InvalidFileError(f"{path}: the archive is damaged: its end is missing, or something stands before it")
            found = [info for info in archive.infolist() if info.filename.endswith("models/model.json")]
            if not found:
                pickled = any(info.filename.endswith("data.pkl") for info in archive.infolist())
                raise InvalidFileError(f"{path}: {_PICKLED if pickled else 'holds no models/model.json; it is read from torch 2.8 on'}")
            if found[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # torch stores; of others a kilobyte may unpack to gigabytes at once
                raise InvalidFileError(f"{path}: models/model.json is compressed by method {found[0].compress_type}, which torch does not write")
            with archive.open(found[0]) as stream:
                text = stream.read(MAX_JSON + 1)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        raise InvalidFileError(f"{path}: the archive is damaged: {error}") from None
    except Exception as error:
        if type(error).__module__ in ("zlib", "lzma", "_lzma"):
            raise InvalidFileError(f"{path}: the archive is damaged: {error}") from None
        raise
    if len(text) > MAX_JSON:
        raise InvalidFileError(f"{path}: models/model.json has more than {MAX_JSON >> 20} MiB")
    document = json.loads(text)
    major = document["schema_version"]["major"]
    if major not in MAJORS:
        raise InvalidFileError(f"{path}: has version {major!r} of torch's schema; this costmodel reads {', '.join(map(str, MAJORS))}")
    return dict(document)


_PICKLED = "is a pickle, which could run any code and is not opened; save the module with torch.export.save(torch.export.export(module, inputs), 'model.pt2')"


def _trace(document: Mapping[str, Any], name: str, dims: dict[str, int]) -> tuple[Trace, int]:
    """The program as a trace, and the batch of its example."""
    module = document["graph_module"]
    graph, signature = module["graph"], module["signature"]
    inputs, stored, known = _signature(signature)
    sizes = _Sizes(graph, inputs, dims)
    weights: dict[str, Operand] = {}
    for key, (origin, target) in stored.items():
        weights[key] = Operand(target, sizes.spec(key), origin)
    reader = _Reader(graph, sizes)
    calls = tuple(call for number, node in enumerate(graph["nodes"]) if (call := reader.call(number, node)) is not None)
    outputs = tuple(key for key in known if key in graph["tensor_values"])
    operands = {key: Operand(key, sizes.spec(key)) for key in inputs}
    batch = _PRIME if sizes.chosen else next(iter(operands.values())).shape[0]
    return Trace(name, "aten", operands, weights, calls, outputs, batch, sizes.chosen), sizes.example


def _signature(signature: Mapping[str, Any]) -> tuple[list[str], dict[str, tuple[Origin, str]], list[str]]:
    """Inputs, stored tensors with their origin and name, and outputs."""
    inputs: list[str] = []
    stored: dict[str, tuple[Origin, str]] = {}
    for spec in signature["input_specs"]:
        ((kind, entry),) = spec.items()
        argument = entry["arg"]
        if kind == "user_input":
            if "as_tensor" in argument:
                inputs.append(str(argument["as_tensor"]["name"]))
        elif kind in ("parameter", "buffer", "tensor_constant"):
            target = entry.get("parameter_name") or entry.get("buffer_name") or entry.get("tensor_constant_name")
            stored[str(argument["name"])] = ("parameter" if kind == "parameter" else "constant", str(target))
    if not inputs:
        raise InvalidFileError("the program has no tensor as its input")
    outputs = [
        spec["user_output"]["arg"]["as_tensor"]["name"] for spec in signature["output_specs"] if "as_tensor" in spec.get("user_output", {}).get("arg", {})
    ]
    return inputs, stored, outputs


class _Sizes:
    """Shapes of the program's tensors, with a number for every symbol.

    The symbol that alone is dimension 0 of an input is the batch: a large prime stands for it.
    """

    def __init__(self, graph: Mapping[str, Any], inputs: list[str], dims: dict[str, int]) -> None:
        self.values: Mapping[str, Any] = graph["tensor_values"]
        self.ints: Mapping[str, Any] = graph.get("sym_int_values", {})
        self.symbols: dict[str, int] = {}
        first = self.values[inputs[0]]["sizes"]
        self.example = self._example(first[0]) if first else 1
        batch = _symbol(first[0]) if first else ""
        self.chosen = bool(batch) and batch not in dims
        if self.chosen:
            self.symbols[batch] = _PRIME
        wanted = sorted({name for value in self.values.values() for size in value["sizes"] for name in _symbols(size)} - {batch})
        for name in dims:
            if name not in (*wanted, batch):
                raise UsageError(f"--dim {name}: the file has no such size; it has {', '.join(wanted) or 'only its batch'}")
        missing = [name for name in wanted if name not in dims]
        if missing:
            raise UsageError(f"the size {missing[0]} is left open by the file: give it as --dim {missing[0]}=N")
        self.symbols |= dims

    def _example(self, size: Mapping[str, Any]) -> int:
        return int(size["as_int"] if "as_int" in size else size["as_expr"]["hint"]["as_int"])

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
        return TensorSpec(tuple(self.number(size) for size in meta["sizes"]), _TYPES.get(meta["dtype"], DType.FP32))


class _Reader:
    """Nodes as calls."""

    def __init__(self, graph: Mapping[str, Any], sizes: _Sizes) -> None:
        self.sizes = sizes
        paths = [_path(node) for node in graph["nodes"]]
        self.containers = {".".join(path.split(".")[:depth]) for path in paths for depth in range(len(path.split(".")))}

    def call(self, number: int, node: Mapping[str, Any]) -> TracedCall | None:
        """The call of a node; None where no tensor comes out."""
        place = f"node {number} ({node.get('name') or node.get('target')!r})"
        try:
            names = [name for entry in node["outputs"] for name in _tensor_names(entry)]
            if not names:
                return None
            outputs = tuple((name, self.sizes.spec(name)) for name in names)
            arguments = {str(entry["name"]): self._argument(entry["arg"]) for entry in node["inputs"]}
            path = _path(node)
            target = node["target"]
            if not isinstance(target, str):
                raise TypeError(f"{str(target)[:40]} is no name of an operator")
            target = target.removeprefix("torch.ops.")
            return TracedCall(target, arguments, outputs, path, path not in self.containers, place)
        except UsageError:
            raise
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise InvalidFileError(f"{place}: {type(error).__name__}: {str(error)[:200]}") from None

    def _argument(self, argument: Mapping[str, Any]) -> Any:
        ((kind, value),) = argument.items()
        if kind == "as_none":
            return None
        if kind == "as_tensor":
            return Name(value["name"])
        if kind == "as_tensors":
            return [Name(item["name"]) for item in value]
        if kind == "as_optional_tensors":
            return [Name(item["as_tensor"]["name"]) if "as_tensor" in item else None for item in value]
        if kind == "as_sym_int":
            return self.sizes.number(value)
        if kind == "as_sym_ints":
            return [self.sizes.number(item) for item in value]
        return value if isinstance(value, int | float | str | list) else str(value)


def _tensor_names(entry: Mapping[str, Any]) -> list[str]:
    if "as_tensor" in entry:
        return [str(entry["as_tensor"]["name"])]
    return [str(item["name"]) for item in entry.get("as_tensors", ())]


def _path(node: Mapping[str, Any]) -> str:
    """The module path in ``L__self__,,M;L__self__c,c,Conv2d``."""
    last = str(node.get("metadata", {}).get("nn_module_stack", "")).rpartition(";")[2].split(",")
    return last[1].partition("@")[0] if len(last) == 3 and not last[1].startswith("_") else ""


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
