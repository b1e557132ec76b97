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
    from costmodel.calibration.local.calibrate import calibrate_this_machine
    from costmodel.calibration.local.gpu import calibrate_this_gpu
    from costmodel.errors import CostModelError, InvalidFileError, UnmodelledError, UsageError
    from costmodel.measuring import ingest, kit, suggest
    from costmodel.scaling import scale
    from costmodel.simulating import serve, simulate

#: Name -> the module that has it; everything else is in `api`.
_ELSEWHERE = {
    **dict.fromkeys(("CostModelError", "InvalidFileError", "UnmodelledError", "UsageError"), "costmodel.errors"),
    "calibrate_this_gpu": "costmodel.calibration.local.gpu",
    "calibrate_this_machine": "costmodel.calibration.local.calibrate",
    **dict.fromkeys(("ingest", "kit", "suggest"), "costmodel.measuring"),
    "scale": "costmodel.scaling",
    **dict.fromkeys(("serve", "simulate"), "costmodel.simulating"),
}
__all__ = [
    "CostModelError",
    "InvalidFileError",
    "UnmodelledError",
    "UsageError",
    "__version__",
    "build",
    "calibrate",
    "calibrate_this_gpu",
    "calibrate_this_machine",
    "compare",
    "count",
    "device",
    "device_names",
    "estimate",
    "export",
    "from_torch",
    "ingest",
    "kit",
    "load",
    "model_names",
    "pareto",
    "recommend",
    "scale",
    "serve",
    "simulate",
    "suggest",
    "sweep",
    "target",
    "validate",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        import importlib

        globals()[name] = getattr(importlib.import_module(_ELSEWHERE.get(name, "costmodel.api")), name)
        return globals()[name]
    raise AttributeError(f"module 'costmodel' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
