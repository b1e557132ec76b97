"""Search: spaces as chains of choice blocks, their costs as tables, and algorithms over both.

`space` names the published spaces, `Space` makes another; `LatencyTable` costs millions of candidates a second as `estimate` would.
"""

from costmodel.search._space import Block, Layer, Option, Space
from costmodel.search._table import LatencyTable, Quantity, Step
from costmodel.search.spaces import space, spaces

__all__ = ["Block", "LatencyTable", "Layer", "Option", "Quantity", "Space", "Step", "space", "spaces"]
