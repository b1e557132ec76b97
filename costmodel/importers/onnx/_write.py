"""`write_onnx`: a `Graph` as an ONNX file, by torch's exporter."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import os
import warnings
from collections.abc import Iterator
from typing import Any

from costmodel import durable
from costmodel.errors import CostModelError, UsageError
from costmodel.graph import Graph
from costmodel.importers._module import module_of
from costmodel.importers._writable import require_writable
from costmodel.reference import Weights

#: Records of the machine that exports, which are nobody's business.
_PRIVATE = ("pkg.torch.onnx.stack_trace", "pkg.torch.onnx.fx_node")


def write_onnx(graph: Graph, path: str | os.PathLike[str], *, weights: Weights | None = None, opset: int | None = None) -> None:
    """Write `graph` to `path` as ONNX; batch normalisations are kept, the batch stays open.

    Nodes belong to modules that are called as in the graph, and weights are called by their node. Reading the file gives a
    graph with the same counts.

    Parameters
    ----------
    weights : as `costmodel.reference.random_weights` makes them; None takes those.
    opset : the operator set; None is that of torch's exporter.

    Raises
    ------
    UsageError
        If torch, onnx or onnxscript is not installed, or an operator of the graph is not known or loops over boxes.
    CostModelError
        If the exporter cannot write the graph: says what it says.
    """
    missing = [name for name in ("torch", "onnx", "onnxscript") if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"{path}: writing ONNX files needs {', '.join(missing)}: pip install 'costmodel[torch,onnx]'")
    require_writable(graph, path)
    program = _exported(graph, weights, opset, str(path))
    _tidy(program.model)
    model = program.model_proto
    model.graph.name = graph.name
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        kept = [entry for entry in part.metadata_props if entry.key not in _PRIVATE]
        del part.metadata_props[:]
        part.metadata_props.extend(kept)
    with durable.putting(path) as file:
        file.write(model.SerializeToString())


def _exported(graph: Graph, weights: Weights | None, opset: int | None, path: str) -> Any:
    """The exporter's program, with an open batch where the graph allows it."""
    import torch

    from costmodel.reference._execute import random_inputs

    options: dict[str, Any] = {} if opset is None else {"opset_version": opset}
    module = module_of(graph, weights)
    failure = ""
    for batch in (2, graph.batch):
        try:
            inputs = random_inputs(graph.with_batch(batch))
            open_batch = {"dynamic_shapes": tuple({0: "batch"} for _ in inputs)} if batch == 2 and graph.batch != 2 else {}
            names = list(graph.inputs)
            with _quietly():
                return torch.onnx.export(module, inputs, dynamo=True, verbose=False, optimize=False, input_names=names, **open_batch, **options)
        except Exception as error:  # whatever the exporter raises; the second try has the graph's own batch
            failure = failure or str(error).strip().split("\n")[0][:300]
    raise CostModelError(f"{path}: torch's exporter cannot write {graph.name}: {failure}")


def _tidy(model: Any) -> None:
    """Leave out what the exporter writes beside the network: biases of zeros, constants computed at run time, a clamp as two operators.

    Runtimes fold a batch normalisation into a convolution only without them. Normalisations themselves are kept.
    """
    from onnxscript.optimizer import fold_constants, remove_unused_nodes
    from onnxscript.rewriter import rewrite
    from onnxscript.rewriter.rules import common

    for node in model.graph:
        if node.op_type in ("Conv", "ConvTranspose") and len(node.inputs) == 3 and _made_here(node.inputs[2]):
            node.resize_inputs(2)
    fold_constants(model, onnx_shape_inference=True, should_fold=lambda node: False if any(_is_weight(value) for value in node.inputs) else None)
    rewrite(model, (common.min_max_rule, common.max_min_rule, common.no_op_cast_rule, common.cast_cast_rule))
    remove_unused_nodes(model)


def _made_here(bias: Any) -> bool:
    """Whether a bias is one that torch's exporter expands from a zero, rather than stored."""
    producer = None if bias is None else bias.producer()
    return producer is not None and producer.op_type == "Expand"


def _is_weight(value: Any) -> bool:
    return value is not None and value.is_initializer()


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep what the exporter prints out of the user's terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
