"""Capacity as the score: multiply-accumulates or parameters, which the table adds up, so that exact search takes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from costmodel.search._table import LatencyTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from costmodel.search._space import Candidates


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """The table's own MACs or parameters."""

    table: LatencyTable
    count: Literal["macs", "parameters"]
    cheap: bool = True
    known: None = None

    @property
    def name(self) -> str:
        return self.count

    @property
    def quantity(self) -> str:
        return "MACs" if self.count == "macs" else "parameters"

    def scores(self, x: Candidates) -> NDArray[np.float64]:
        found = self.table.macs(x) if self.count == "macs" else self.table.parameters(x)
        return found.astype(np.float64)
