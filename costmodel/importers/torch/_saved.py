"""A ``.pt2`` file as a `Trace`, from the JSON in its archive alone: no weights are loaded, nothing is unpickled, torch is not needed.

The format is torch.export.save's (torch/_export/serde/schema.py, major version 8): ``models/model.json`` holds nodes with
named arguments, and a shape for every tensor; sizes that depend on a symbol are sympy expressions in words.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from costmodel.errors import InvalidFileError
from costmodel.files import MAX_JSON, require_regular
from costmodel.importers._assemble import Imported, assemble
from costmodel.importers._rim import reading
from costmodel.importers._trace import Trace
from costmodel.importers.torch._nodes import NodeReader
from costmodel.importers.torch._scope import Scope
from costmodel.importers.torch._sizes import PRIME, sizes_of
from costmodel.recognition import Operand, Origin

#: Major versions of the schema that are read; the last is torch 2.8's and later.
MAJORS = (7, 8)


def read_pt2(path: str | Path, *, dims: Mapping[str, int] | None = None, batch: int | None = None) -> Imported:
    """The graph of an exported program that ``torch.export.save`` wrote.

    Parameters
    ----------
    dims : sizes of the program's symbols by name (``s53``) or by input and axis (``x.2``); the one that is dimension 0 of the
        inputs need not be given.
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
        trace, example = _trace(document, _ties(Path(path)), Path(path).stem, dict(dims or {}))
        if batch is not None and not trace.chosen and batch != trace.batch:
            return _rescaled(assemble(trace), batch)
        own = 1 if trace.chosen else example
        return assemble(trace, batch=own if batch is None else batch)


def _rescaled(imported: Imported, batch: int) -> Imported:
    return Imported(imported.graph.with_batch(batch), imported.sources)


def _document(path: Path) -> dict[str, Any]:
    """The program's JSON."""
    require_regular(path)
    text = _part(path, "models/model.json")
    if text is None:
        with zipfile.ZipFile(path) as archive:
            pickled = any(info.filename.endswith("data.pkl") for info in archive.infolist())
        raise InvalidFileError(f"{path}: {_PICKLED if pickled else 'holds no models/model.json; it is read from torch 2.8 on'}")
    document = json.loads(text)
    major = document["schema_version"]["major"]
    if major not in MAJORS:
        raise InvalidFileError(f"{path}: has version {major!r} of torch's schema; this costmodel reads {', '.join(map(str, MAJORS))}")
    return dict(document)


def _part(path: Path, ending: str) -> bytes | None:
    """The JSON of the archive's member whose name ends so; None where there is none.

    torch stores members as they are; of a compressed one no more is unpacked than may be read, which only deflate allows.
    """
    try:
        if not zipfile.is_zipfile(path):
            raise InvalidFileError(f"{path}: is no .pt2 archive; torch.export.save(torch.export.export(module, inputs), 'model.pt2') writes one")
        with zipfile.ZipFile(path) as archive:
            if min((info.header_offset for info in archive.infolist()), default=0):
                raise InvalidFileError(f"{path}: the archive is damaged: its end is missing, or something stands before it")
            found = next((info for info in archive.infolist() if info.filename.endswith(ending)), None)
            if found is None:
                return None
            if found.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise InvalidFileError(f"{path}: {ending} is compressed by method {found.compress_type}, which torch does not write")
            with archive.open(found) as stream:
                text = stream.read(MAX_JSON + 1)
    # zipfile raises NotImplementedError for flags and versions of archives that it does not know, and RuntimeError for encrypted ones
    except (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        raise InvalidFileError(f"{path}: the archive is damaged: {error}") from None
    if len(text) > MAX_JSON:
        raise InvalidFileError(f"{path}: {ending} has more than {MAX_JSON >> 20} MiB")
    return text


_PICKLED = "is a pickle, which could run any code and is not opened; save the module with torch.export.save(torch.export.export(module, inputs), 'model.pt2')"


def _ties(path: Path) -> dict[str, str]:
    """Name of every parameter that is another one -> the first name of that one: the archive says which tensor each is.

    Two are one tensor where they have the same bytes in the same shape and order; a view of a part is a parameter of its own.
    """
    text = _part(path, "data/weights/model_weights_config.json")
    if text is None:  # older versions keep the weights in a pickle
        return {}
    first: dict[str, str] = {}
    ties: dict[str, str] = {}
    for name, entry in json.loads(text)["config"].items():
        meta = entry["tensor_meta"]
        key = json.dumps([entry["path_name"], entry["is_param"], *(meta[part] for part in ("dtype", "sizes", "strides", "storage_offset"))])
        ties[name] = first.setdefault(key, name)
    return ties


def _trace(document: Mapping[str, Any], ties: Mapping[str, str], name: str, dims: dict[str, int]) -> tuple[Trace, int]:
    """The program as a trace, and the batch of its example."""
    module = document["graph_module"]
    graph, signature = module["graph"], module["signature"]
    inputs, stored, known = _signature(signature)
    sizes = sizes_of(graph, inputs, dims)
    weights: dict[str, Operand] = {}
    for key, (origin, target) in stored.items():
        weights[key] = Operand(ties.get(target, target), sizes.spec(key), origin)
    scope = Scope()
    calls = tuple(NodeReader(graph, sizes, scope).calls())
    outputs = tuple(scope.name(key) for key in known if key in graph["tensor_values"])
    operands = {key: Operand(key, sizes.spec(key)) for key in inputs}
    batch = PRIME if sizes.batch else next(iter(operands.values())).shape[0]
    return Trace(name, "aten", operands, weights, calls, outputs, batch, bool(sizes.batch)), sizes.example


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
