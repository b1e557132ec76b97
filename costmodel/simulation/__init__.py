"""Simulation: how the kernels of a network run over time on a model of the machine.

`_core` is the discrete-event core: engines, links, memories and steps. A file a machine turns a program into steps (`_sequence`, `_cpu`, `_gpu`,
`_edgetpu`); `_timeline` is what comes out.
"""

from costmodel.simulation._build import Mechanism
from costmodel.simulation._core import Engine
from costmodel.simulation._settings import Settings
from costmodel.simulation._simulate import simulate
from costmodel.simulation._timeline import KernelSpan, Span, Timeline, Track

__all__ = ["Engine", "KernelSpan", "Mechanism", "Settings", "Span", "Timeline", "Track", "simulate"]
