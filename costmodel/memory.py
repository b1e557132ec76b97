"""Memory: what a network needs to run on a processor, and whether it fits."""

from __future__ import annotations

from dataclasses import dataclass

from costmodel.kernel import Program

GIB = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryNeed:
    """Bytes that a program needs: activations at their peak, weights in use, and the model file.

    `fits` is None where the capacity of the processor's memory is not known.
    """

    peak_activation_bytes: int
    weight_bytes: int
    model_file_bytes: int
    fits: bool | None


def memory_need(program: Program, capacity_gib: float | None, *, holds_file: bool) -> MemoryNeed:
    """What `program` needs, and whether it fits in `capacity_gib`: peak activations, weights, and where the memory
    `holds_file` (it is the one that the file is read into) the model file as well.

    The model file counts the weights as stored; structure adds some kilobytes that are not counted.
    """
    peak = program.peak_activation_bytes
    weights = program.stored_weight_bytes
    needed = peak + weights * (2 if holds_file else 1)
    return MemoryNeed(
        peak_activation_bytes=peak,
        weight_bytes=weights,
        model_file_bytes=weights,
        fits=None if capacity_gib is None else needed <= capacity_gib * GIB,
    )
