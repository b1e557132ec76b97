"""Measuring on a device of one's own: what to measure (`suggest`), kits of networks to run there (`kit`), the logs as rows (`ingest`) or
operator by operator beside kernels (`read_operators`, `matched`), and networks here.
"""

from costmodel.measuring._ingest import Ingested, ingest
from costmodel.measuring._kit import Kit, KitNetwork, kit
from costmodel.measuring._matched import Matched, Pair, matched, one_pass
from costmodel.measuring._operators import MeasuredOperator, read_operators
from costmodel.measuring._suggest import suggest
from costmodel.measuring._whole import RUNTIME_OF, measure_whole

__all__ = [
    "RUNTIME_OF",
    "Ingested",
    "Kit",
    "KitNetwork",
    "Matched",
    "MeasuredOperator",
    "Pair",
    "ingest",
    "kit",
    "matched",
    "measure_whole",
    "one_pass",
    "read_operators",
    "suggest",
]
