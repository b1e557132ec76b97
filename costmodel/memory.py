"""Memory: what a network needs to run on a processor, and whether it fits."""

from __future__ import annotations

from dataclasses import dataclass

from costmodel.kernel import Program

GIB = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryNeed:
    """Bytes that a program needs: activations at their peak, weights in use, and the model file.

    `peak_kernel` is the position of the kernel during which the activations peak; `fits` is None where the capacity of
    the processor's memory is not known.
    """

    peak_activation_bytes: int
    peak_kernel: int
    weight_bytes: int
    model_file_bytes: int
    fits: bool | None


def memory_need(program: Program, capacity_gib: float | None) -> MemoryNeed:
    """What `program` needs, and whether peak activations, weights and the mapped model file fit in `capacity_gib`.

    The model file counts the weights as stored; structure adds some kilobytes that are not counted.
    """
    live = program.live_bytes
    peak = max(live, default=program.input_bytes)
    weights = program.stored_weight_bytes
    needed = peak + 2 * weights
    return MemoryNeed(
        peak_activation_bytes=peak,
        peak_kernel=live.index(peak) if peak in live else 0,
        weight_bytes=weights,
        model_file_bytes=weights,
        fits=None if capacity_gib is None else needed <= capacity_gib * GIB,
    )
