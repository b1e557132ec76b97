"""Modules with regions and conditions, which torch.export keeps as graphs inside a node."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


class Two(nn.Module):
    """Two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(16, 16), nn.Linear(16, 16)

    def forward(self, x: Any) -> Any:
        return self.second(self.first(x))


class Autocast(Two):
    """One layer in half precision."""

    def forward(self, x: Any) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = self.first(x)
        return self.second(y.float())


class NoAutocast(Two):
    """A region in full precision, as in rotary embeddings, with another one inside and an input that passes through."""

    def forward(self, x: Any) -> Any:
        with torch.autocast("cpu", enabled=False):
            y, same = self.first(x), x
            with torch.autocast("cpu", dtype=torch.bfloat16):
                z = self.second(y)
        return z.float() + same


class Gradients(Two):
    """Gradients on and off inside."""

    def forward(self, x: Any) -> Any:
        with torch.enable_grad():
            y = self.first(x)
        with torch.no_grad():
            return self.second(y)


class Checkpointed(Two):
    """One layer that training would compute twice."""

    def forward(self, x: Any) -> Any:
        return checkpoint(self.second, self.first(x), use_reentrant=False)


SCOPED = {"autocast": Autocast, "no autocast": NoAutocast, "gradients": Gradients, "checkpoint": Checkpointed}


class EqualBranches(Two):
    """Either of two layers of one size."""

    def forward(self, x: Any) -> Any:
        return torch.cond(x.sum() > 0, lambda x: self.first(x), lambda x: self.second(x), (x,))


class Branches(Two):
    """One layer or two."""

    def forward(self, x: Any) -> Any:
        return torch.cond(x.sum() > 0, lambda x: self.first(x), lambda x: self.second(self.first(x)), (x,))


class Mapped(Two):
    """A layer of each sample by vmap."""

    def forward(self, x: Any) -> Any:
        return self.second(torch.vmap(self.first)(x))
