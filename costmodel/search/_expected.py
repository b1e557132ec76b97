"""The expected cost of a candidate under probabilities of its choices, differentiable: for training that weighs latency against accuracy.

With p_b(o) the probability of option o of block b, choices being independent, and q_b(s) that shape s comes in,

    E = sum over b, s, o of q_b(s) p_b(o) cost_b(s, o),     q_(b+1)(s') = sum over s, o that leave s' of q_b(s) p_b(o)

Sources: ProxylessNAS (arXiv 1812.00332, equations 2 and 3) and FBNet (arXiv 1812.03443, section 3.2), where the shapes are fixed, so that q is 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from costmodel.errors import ShapeError

if TYPE_CHECKING:
    from costmodel.search._rows import Step

#: A torch module: probabilities, one tensor (options,) a block, to a scalar.
Expected = Callable[[Sequence[Any]], Any]


def expected(steps: Sequence[Step], names: Sequence[str]) -> Expected:
    """A `torch.nn.Module` from probabilities, one tensor (options,) a block, to the expected quantity, a scalar in its unit.

    Gradients flow to the probabilities; rows of ones and zeros give one candidate's cost. Its tables are buffers in float64, which move with `to`.
    `steps` are the blocks' tables of an additive quantity, `names` the blocks' names.
    """
    import torch

    class ExpectedCost(torch.nn.Module):  # type: ignore[misc]  # torch is not followed
        """Expected cost of a distribution over candidates."""

        def __init__(self) -> None:
            super().__init__()
            for number, step in enumerate(steps):
                shapes = int(step.after.max()) + 1
                self.register_buffer(f"cost{number}", torch.from_numpy(step.costs.copy()))
                self.register_buffer(f"after{number}", torch.from_numpy(np.eye(shapes)[step.after]))

        def forward(self, probabilities: Sequence[torch.Tensor]) -> torch.Tensor:
            """The expected quantity, a scalar."""
            _check([tuple(p.shape) for p in probabilities], [step.costs.shape[1] for step in steps], names)
            arriving, total = torch.ones(1, dtype=torch.float64, device=self.cost0.device), 0.0
            for number, chosen in enumerate(probabilities):
                joint = arriving[:, None] * chosen.to(torch.float64)[None, :]
                total = total + (joint * getattr(self, f"cost{number}")).sum()
                arriving = (joint[..., None] * getattr(self, f"after{number}")).sum((0, 1))
            return total

    return ExpectedCost()


def _check(given: list[tuple[int, ...]], options: list[int], names: Sequence[str]) -> None:
    if len(given) != len(options):
        raise ShapeError(f"needs {len(options)} tensors of probabilities, one a block, not {len(given)}")
    for shape, number, name in zip(given, options, names, strict=True):
        if shape != (number,):
            raise ShapeError(f"block {name!r} needs ({number},) probabilities, not {shape}")
