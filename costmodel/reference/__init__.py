"""Torch execution of the same graphs: for checking shapes and numbers, and for measuring on this machine (extra `torch`)."""

from costmodel.reference._execute import Weights, as_module, execute, random_weights
from costmodel.reference._measure import Measurement, OperatorTime, measure

__all__ = ["Measurement", "OperatorTime", "Weights", "as_module", "execute", "measure", "random_weights"]
