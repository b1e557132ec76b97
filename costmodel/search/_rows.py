"""What a table consists of: for every block arrays with a row for each incoming shape and a column for each option."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: What adds up over blocks; see the methods of `LatencyTable` of these names.
Quantity = Literal["latency_s", "busy_s", "macs", "parameters", "traffic_bytes", "energy_j"]
#: What a block's rows hold, and how.
FIELDS = {
    "macs": np.int64,
    "parameters": np.int64,
    "traffic_bytes": np.int64,
    "peak_activation_bytes": np.int64,
    "launched_s": np.float64,
    "busy_s": np.float64,
    "makespan_s": np.float64,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The table of one block: `after` (shapes in, options) is the shape that an option leaves, as a row of the next block; the other
    arrays, by the names of `FIELDS`, are what it adds.
    """

    after: NDArray[np.int64]
    costs: dict[str, NDArray[Any]]


class Step(NamedTuple):
    """A block for exact search: what each option adds (shapes in, options), and the shape that it leaves."""

    costs: NDArray[np.float64]
    after: NDArray[np.int64]
