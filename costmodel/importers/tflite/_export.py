"""`write_tflite`: a graph as a TFLite file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from costmodel.errors import UsageError
from costmodel.graph import Graph

#: What a file can store weights and activations as.
DTYPES = ("fp32", "int8")


def write_tflite(
    graph: Graph,
    path: str | Path,
    *,
    weights: Mapping[str, Mapping[str, Any]] | None = None,
    dtype: Literal["fp32", "int8"] = "fp32",
    seed: int = 0,
    inputs: Sequence[Any] | None = None,
    metadata: bool = True,
) -> None:
    """Write `graph` to `path` as a TFLite flatbuffer; `read_tflite` reads the same graph back.

    Images are stored as (N, H, W, C): inputs of 4 dimensions are the graph's with their channels last, and so are outputs
    that a convolution or pool makes. Batch normalisations are folded into weights, clamps into activations, and padding
    that is neither SAME nor VALID is a PAD of its own, as the TensorFlow converter does.

    Parameters
    ----------
    weights : as `costmodel.reference.execute` takes them; None draws random ones, the same for the same `seed`.
    dtype : ``fp32``, or ``int8``: full-integer post-training quantisation, inputs and outputs int8 themselves. Operators
        without an 8-bit kernel and normalisations by statistics of the data stay float32.
    seed : of the random weights and of the random inputs for calibration.
    inputs : tensors to calibrate int8 with, one for each input of the graph; None takes standard normal ones.
    metadata : store what folding removes (names, batch normalisations) in the file's metadata entry ``costmodel``.

    Raises
    ------
    UsageError
        If an operator has no built-in form (names it), weights do not fit, or torch or the package `tflite` is missing.
    CostModelError
        If the file cannot be written: names it.
    """
    from costmodel.importers.tflite._metadata import pack
    from costmodel.importers.tflite._plan import plan_graph
    from costmodel.importers.tflite._schema import require_tflite
    from costmodel.importers.tflite._weights import arrays
    from costmodel.reference import random_weights

    if dtype not in DTYPES:
        raise UsageError(f"a TFLite file is written in {' or '.join(DTYPES)}, not {dtype!r}")
    require_tflite()
    planned = plan_graph(graph)
    given = random_weights(graph, seed=seed) if weights is None else weights
    held = arrays(graph, given)
    note = pack(graph) if metadata else None
    if dtype == "int8":
        _write_int8(graph, planned, given, held, inputs, seed, note, path)
    else:
        _write_fp32(planned.plan, held, note, path)


def _write_fp32(plan: Any, held: Any, note: bytes | None, path: str | Path) -> None:
    import dataclasses

    from costmodel.importers.tflite._scales import stored_bytes
    from costmodel.importers.tflite._write import write_plan

    write_plan(dataclasses.replace(plan, metadata=note), lambda number: stored_bytes(plan.tensors[number], held), path)


def _write_int8(graph: Graph, planned: Any, given: Any, held: Any, inputs: Any, seed: int, note: bytes | None, path: str | Path) -> None:
    import dataclasses

    from costmodel.importers.tflite._quantise import quantised
    from costmodel.importers.tflite._scales import Scaled, observe
    from costmodel.importers.tflite._write import write_plan
    from costmodel.reference._execute import checked_inputs, random_inputs
    from costmodel.reference._torch import require_torch

    narrow = quantised(planned)
    wanted = {range for ranges in narrow.sources.values() for range in ranges}
    samples = random_inputs(graph, seed=seed) if inputs is None else checked_inputs(require_torch(), graph, inputs)
    scaled = Scaled(narrow, observe(graph, wanted, samples, given, held), held)
    write_plan(dataclasses.replace(scaled.plan, metadata=note), scaled.data, path)
