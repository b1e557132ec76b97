"""Files of every format, told apart by their endings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from costmodel.errors import InvalidFileError, UsageError
from costmodel.graph import Graph, load_graph
from costmodel.importers._rim import reading

#: Ending -> what such a file is.
FORMATS = {".json": "a saved graph", ".onnx": "an ONNX model", ".pt2": "a saved torch.export program", ".tflite": "a TFLite model"}
#: Endings of pickles, which are never opened.
PICKLES = (".pt", ".pth", ".ckpt", ".bin", ".pkl")


def is_file_name(text: str) -> bool:
    """Whether a network is named by a file rather than by a name of the zoo."""
    return Path(text).suffix.lower() in (*FORMATS, *PICKLES)


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
        graph = load_graph(path)
        return graph if batch is None else graph.with_batch(batch)
