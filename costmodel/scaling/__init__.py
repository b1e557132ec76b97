"""Compound scaling (EfficientNet, arXiv 1905.11946) with the counts and latencies of the networks that it really makes.

`base_of` names what is scaled; `coefficient_grid` finds alpha, beta and gamma, `ladder` builds a network for each phi, `dimensions`
compares one dimension alone with all three, and `scale` finds the largest network within a device's latency budget.
"""

from costmodel.scaling._coefficient_grid import CoefficientGrid, Feasible, coefficient_grid
from costmodel.scaling._coefficients import PAPER, Coefficients, Restrictions, scale_at
from costmodel.scaling._dimensions import DIRECTIONS, PRINTED, Dimensions, Scaling, dimensions
from costmodel.scaling._ladder import RELEASED_PHI, Ladder, Released, Rung, ladder
from costmodel.scaling._largest import Grid, Solution, candidates, largest
from costmodel.scaling._network import Base, Scale, Scaled, base_of, families, size_order
from costmodel.scaling._scale import scale, target_of

__all__ = [
    "DIRECTIONS",
    "PAPER",
    "PRINTED",
    "RELEASED_PHI",
    "Base",
    "CoefficientGrid",
    "Coefficients",
    "Dimensions",
    "Feasible",
    "Grid",
    "Ladder",
    "Released",
    "Restrictions",
    "Rung",
    "Scale",
    "Scaled",
    "Scaling",
    "Solution",
    "base_of",
    "candidates",
    "coefficient_grid",
    "dimensions",
    "families",
    "ladder",
    "largest",
    "scale",
    "scale_at",
    "size_order",
    "target_of",
]
