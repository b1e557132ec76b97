"""costmodel: what a neural network costs on hardware that you do not have in hand.

>>> import costmodel
>>> report = costmodel.estimate("efficientnet-b0", device="pixel4")
>>> report.macs
385814752

Everything is loaded on first use: ``import costmodel`` itself loads neither torch nor scipy nor matplotlib.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from costmodel._version import __version__

if TYPE_CHECKING:
    from costmodel.api import (
        build,
        calibrate,
        calibrate_this_machine,
        compare,
        count,
        device,
        device_names,
        estimate,
        export,
        from_torch,
        load,
        model_names,
        pareto,
        recommend,
        sweep,
        target,
        validate,
    )
    from costmodel.errors import CostModelError, InvalidFileError, UnmodelledError, UsageError

_ERRORS = ("CostModelError", "InvalidFileError", "UnmodelledError", "UsageError")
__all__ = [
    "CostModelError",
    "InvalidFileError",
    "UnmodelledError",
    "UsageError",
    "__version__",
    "build",
    "calibrate",
    "calibrate_this_machine",
    "compare",
    "count",
    "device",
    "device_names",
    "estimate",
    "export",
    "from_torch",
    "load",
    "model_names",
    "pareto",
    "recommend",
    "sweep",
    "target",
    "validate",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        import importlib

        globals()[name] = getattr(importlib.import_module("costmodel.errors" if name in _ERRORS else "costmodel.api"), name)
        return globals()[name]
    raise AttributeError(f"module 'costmodel' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
