"""Edits: networks that differ from a given one in one respect, as new graphs. Shapes and work are inferred anew.

What `costmodel.opportunities` tries. An edit says what it changes by operator name, as fusion rules do, and is refused
with a `ShapeError` where the rest of the network cannot take it.
"""

from costmodel.edits._blocks import SqueezeExcite, WideBlock, fuse_blocks, remove_squeeze_excites, squeeze_excites, wide_blocks
from costmodel.edits._operators import (
    CHEAPEST,
    NONLINEARITIES,
    align_channels,
    fold_batch_norms,
    largest_window,
    replace_nonlinearity,
    resize_input,
    shrink_windows,
)
from costmodel.edits._rewrite import rewritten

__all__ = [
    "CHEAPEST",
    "NONLINEARITIES",
    "SqueezeExcite",
    "WideBlock",
    "align_channels",
    "fold_batch_norms",
    "fuse_blocks",
    "largest_window",
    "remove_squeeze_excites",
    "replace_nonlinearity",
    "resize_input",
    "rewritten",
    "shrink_windows",
    "squeeze_excites",
    "wide_blocks",
]
