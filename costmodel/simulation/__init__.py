"""Simulation: how the kernels of a network run over time on a model of the machine."""
