"""Operator classes of users: their mistakes are reported by the class's name, where one of ours would only not fit a damaged file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from costmodel.errors import OperatorError
from costmodel.importers._rim import FAULTS
from costmodel.operator import Operator, Specs
from costmodel.recognition import Call
from costmodel.tensor import TensorSpec
from costmodel.work import Work


def is_foreign(cls: type[Operator]) -> bool:
    """Whether an operator class comes from outside this package."""
    return not cls.__module__.startswith("costmodel.")


def read(reader: type[Operator], dialect: str, call: Call) -> Any:
    """What `reader` makes of `call`.

    Raises
    ------
    OperatorError
        If the reader is a user's and fails.
    """
    method = f"from_{dialect}"
    function: Callable[[Call], Any] = getattr(reader, method)
    return _guarded(reader, method, call.name, lambda: function(call)) if is_foreign(reader) else function(call)


def inferred(operator: Operator, inputs: Specs) -> Specs:
    """The outputs of `operator`, whose work is a `Work`.

    Raises
    ------
    OperatorError
        If its class is a user's and one of its methods fails, or returns something else.
    """
    cls = type(operator)
    if not is_foreign(cls):
        return operator.infer(*inputs)
    shown = ", ".join(map(str, inputs))
    outputs: Any = _guarded(cls, "infer", shown, lambda: operator.infer(*inputs))
    if not isinstance(outputs, tuple) or not all(isinstance(spec, TensorSpec) for spec in outputs):
        raise OperatorError(f"{cls.__name__}.infer() must return a tuple with a TensorSpec for each output, not {str(outputs)[:80]}")
    work: Any = _guarded(cls, "work", shown, lambda: operator.work(inputs, outputs))
    if not isinstance(work, Work):
        raise OperatorError(f"{cls.__name__}.work() must return a costmodel.work.Work, not {str(work)[:80]}")
    _guarded(cls, "parameters", shown, lambda: dict(operator.parameters(*inputs)))
    return outputs


def _guarded(cls: type[Operator], method: str, what: str, function: Callable[[], Any]) -> Any:
    try:
        return function()
    except FAULTS as error:
        raise OperatorError(f"{cls.__name__}.{method}() of {cls.__module__} fails on {what}: {type(error).__name__}: {error}") from error
