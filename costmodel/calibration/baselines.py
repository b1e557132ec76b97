"""What a model must beat: three predictions that need no kernels, or no fit.

- ``macs``: seconds in proportion to multiply-accumulates, one constant;
- ``macs+activations``: a non-negative combination of multiply-accumulates and of the elements that operators write;
- ``roofline``: each kernel at its datasheet's peak or bandwidth, whichever takes longer; nothing fitted.

Those that are fitted are fitted without the family that they predict, so that rows of a single family have none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from costmodel.calibration.samples import Sample

if TYPE_CHECKING:
    import numpy as np

Fitted = Callable[[Sample], float]


def predictions(samples: Sequence[Sample]) -> dict[str, list[float] | None]:
    """Seconds of every sample of one target by each baseline, by the baseline's name; None where no other family is there to fit one to."""
    return {
        "macs": _left_out(samples, lambda sample: [sample.macs]),
        "macs+activations": _left_out(samples, lambda sample: [sample.macs, sample.activations]),
        "roofline": [roofline_s(sample) for sample in samples],
    }


def roofline_s(sample: Sample) -> float:
    """Sum over kernels of max(flops / peak, bytes / bandwidth), by the datasheet (Williams et al., CACM 2009)."""
    machine = sample.target.machine
    return sum(max(2 * kernel.macs / machine.peak(kernel.dtype), kernel.traffic_bytes / machine.bytes_per_s) for kernel in sample.program.kernels)


def _left_out(samples: Sequence[Sample], features: Callable[[Sample], list[int]]) -> list[float] | None:
    """Each sample predicted by the least squares of relative errors over the other families; None where there is only one."""
    import numpy as np

    matrix = np.array([features(sample) for sample in samples], dtype=float)
    seconds = np.array([sample.seconds for sample in samples])
    families = np.array([sample.family for sample in samples])
    if len(set(families)) < 2:
        return None
    out = np.empty(len(samples))
    for family in sorted(set(families)):
        held = families == family
        out[held] = matrix[held] @ _relative_least_squares(matrix[~held], seconds[~held])
    return [float(value) for value in out]


def _relative_least_squares(matrix: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Non-negative x that minimises the sum of squares of (A x - t) / t."""
    import numpy as np
    from scipy.optimize import nnls

    scale = matrix.max(axis=0)
    found, _ = nnls(matrix / scale / seconds[:, None], np.ones(len(seconds)))
    return np.asarray(found / scale)
