"""Files of every format, told apart by their endings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from costmodel.errors import InvalidFileError, UsageError
from costmodel.files import FORMATS, PICKLES, WRITTEN
from costmodel.graph import Graph, load_graph
from costmodel.importers._rim import reading

#: Weights of a graph: node -> the operator's own name for a parameter -> tensor.
Weights = Mapping[str, Mapping[str, Any]]


def read_file(path: str | Path, *, dims: Mapping[str, int] | None = None, batch: int | None = None) -> Graph:
    """The graph in a file.

    Parameters
    ----------
    dims : sizes that the file leaves open, by name (ONNX and .pt2).
    batch : samples a pass; None is what the file says.

    Raises
    ------
    InvalidFileError
        If the file is of no format that is read, or is damaged: names the place.
    UsageError
        If a size is missing in `dims`, or `dims` names one that the file does not have.
    """
    ending = Path(path).suffix.lower()
    if ending in PICKLES:
        raise InvalidFileError(
            f"{path}: is a pickle, which can run any code and is not opened; give the module itself (torch:package.module:callable --input 1x3x224x224), "
            "or save it with torch.export.save(torch.export.export(module, inputs), 'model.pt2')"
        )
    if ending not in FORMATS:
        raise InvalidFileError(f"{path}: costmodel reads {', '.join(f'{name} ({what})' for name, what in FORMATS.items())}")
    if dims and ending not in (".onnx", ".pt2"):
        raise UsageError(f"{path}: {FORMATS[ending]} leaves no sizes open: leave --dim out")
    with reading(path, FORMATS[ending]):
        if ending == ".pt2":
            from costmodel.importers.torch import read_pt2

            return read_pt2(path, dims=dims, batch=batch).graph
        if ending == ".onnx":
            from costmodel.importers.onnx import read_onnx

            return read_onnx(path, dims=dims, batch=batch)
        if ending == ".tflite":
            from costmodel.importers.tflite import read_tflite

            graph = read_tflite(path)
        else:
            graph = load_graph(path)
        return graph if batch is None else graph.with_batch(batch)


def require_written(path: str | Path) -> str:
    """The ending of a file that `write_file` writes.

    Raises
    ------
    UsageError
        If it names no format.
    """
    ending = Path(path).suffix.lower()
    if ending not in WRITTEN:
        raise UsageError(f"{path}: costmodel writes {', '.join(f'{name} ({what})' for name, what in WRITTEN.items())}")
    return ending


def write_file(graph: Graph, path: str | Path, *, weights: Weights | None = None, dtype: str | None = None, seed: int = 0) -> None:
    """Write `graph` as a file of the format that its ending names; `read_file` reads it back, except an ncnn ``.param``.

    Parameters
    ----------
    weights : node -> name -> tensor, as `costmodel.reference.random_weights` makes them; None takes those.
    dtype : precision of a TFLite file, ``fp32`` or ``int8``; None is the graph's own.
    seed : of the random weights.

    Raises
    ------
    UsageError
        If the ending names no format, the format has no such precision or no form of an operator (names it), or a package
        is missing.
    """
    ending = require_written(path)
    if ending == ".tflite":
        from costmodel.importers.tflite import write_tflite

        chosen = dtype or graph.precision or "fp32"
        if chosen not in ("fp32", "int8"):
            raise UsageError(f"{path}: a TFLite file is written in fp32 or int8, not {chosen}")
        write_tflite(graph, path, weights=weights, dtype="int8" if chosen == "int8" else "fp32", seed=seed)
        return
    if dtype is not None:
        raise UsageError(f"{path}: {WRITTEN[ending]} is written in fp32: leave the dtype out, or write .tflite")
    if ending in (".json", ".param"):
        if weights is not None:
            raise UsageError(f"{path}: {WRITTEN[ending]} takes no weights")
        if ending == ".json":
            graph.save(path)
        else:
            from costmodel.importers.ncnn import write_param

            write_param(graph, path)
        return
    from costmodel.reference import random_weights

    own = random_weights(graph, seed=seed) if weights is None else weights
    if ending == ".onnx":
        from costmodel.importers.onnx import write_onnx

        write_onnx(graph, path, weights=own)
    else:
        from costmodel.importers.torch import write_pt2

        write_pt2(graph, path, weights=own)
