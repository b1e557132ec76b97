"""Choosing: fronts of accuracy against latency, what fits a budget, and grids of estimates. Arithmetic on estimates; nothing here prints or draws.

A `Network` has a name and the accuracies that are known of it; an `Offer` is a network with its `Cost` on one target. Whoever
calls says how a name becomes a graph, since files and modules are read further up.
"""

from costmodel.decisions._accuracies import read_accuracies
from costmodel.decisions._front import dominated, membership
from costmodel.decisions._grid import AXES, Axis, Cell, Grid, Wanted, grid, parse_axis, text_of
from costmodel.decisions._network import Figure, Network, concerning, is_outside, select, zoo_networks
from costmodel.decisions._offer import Cost, LeftOut, Offer, price
from costmodel.decisions._pareto import LEAST_PROBABILITY, Front, Standing, front
from costmodel.decisions._recommend import Certainty, Choice, Limits, Nearest, Recommendation, recommend
from costmodel.decisions._side_by_side import Change, Pair, SideBySide, side_by_side

__all__ = [
    "AXES",
    "LEAST_PROBABILITY",
    "Axis",
    "Cell",
    "Certainty",
    "Change",
    "Choice",
    "Cost",
    "Figure",
    "Front",
    "Grid",
    "LeftOut",
    "Limits",
    "Nearest",
    "Network",
    "Offer",
    "Pair",
    "Recommendation",
    "SideBySide",
    "Standing",
    "Wanted",
    "concerning",
    "dominated",
    "front",
    "grid",
    "is_outside",
    "membership",
    "parse_axis",
    "price",
    "read_accuracies",
    "recommend",
    "select",
    "side_by_side",
    "text_of",
    "zoo_networks",
]
