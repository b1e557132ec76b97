"""Torch execution of the same graphs: for checking shapes and numbers, and for measuring on this machine (extra `torch`)."""

from costmodel.reference._allocator import keep_memory
from costmodel.reference._execute import Weights, as_module, execute, random_weights
from costmodel.reference._measure import ContendedError, Measurement, OperatorTime, measure
from costmodel.reference._training import trainable
from costmodel.reference._weights import weights_from_module

__all__ = [
    "ContendedError",
    "Measurement",
    "OperatorTime",
    "Weights",
    "as_module",
    "execute",
    "keep_memory",
    "measure",
    "random_weights",
    "trainable",
    "weights_from_module",
]
