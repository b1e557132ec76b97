"""``torch:package.module:callable``: the user's own code is imported and called, and the module that it returns imported."""

from __future__ import annotations

import ast
import importlib
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from costmodel.errors import UsageError
from costmodel.importers._assemble import Imported
from costmodel.importers.torch._module import import_module
from costmodel.tensor import TensorSpec

_FORM = re.compile(r"torch:(?P<module>[\w.]+):(?P<callable>[\w.]+)(?:\((?P<arguments>.*)\))?", re.DOTALL)


def import_factory(text: str, inputs: Sequence[TensorSpec] | Mapping[str, TensorSpec], *, batch: int | None = None) -> Imported:
    """The graph of the module that ``torch:package.module:callable`` returns; the current directory is importable.

    ``torch:timm:create_model(resnet50, num_classes=10)`` passes one literal argument list, in which a bare word is a string.
    The module is made on the meta device, without memory for its weights, unless it cannot be made there.

    Raises
    ------
    UsageError
        If the text has another form, the callable does not exist or fails, or it returns no module.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise UsageError(f"{text}: write torch:package.module:callable, such as torch:torchvision.models:resnet50")
    if not inputs:
        raise UsageError(f"{text}: give the shape of each input, such as --input 1x3x224x224")
    positional, named = _literals(text, match["arguments"] or "")
    with _current_directory():
        factory = _found(text, match["module"], match["callable"])
        module = _made(text, factory, positional, named)
        return import_module(module, inputs, name=text.removeprefix("torch:"), batch=batch)


@contextmanager
def _current_directory() -> Iterator[None]:
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        yield
    finally:
        if here in sys.path:
            sys.path.remove(here)


def _literals(text: str, arguments: str) -> tuple[list[Any], dict[str, Any]]:
    """Positional and named arguments, read as literals."""
    try:
        call = ast.parse(f"f({arguments})", mode="eval").body
        assert isinstance(call, ast.Call)
        if not isinstance(call.func, ast.Name):
            raise ValueError("more than one pair of brackets")
        if any(keyword.arg is None for keyword in call.keywords):
            raise ValueError("** has no counterpart here")
        return [_literal(node) for node in call.args], {str(keyword.arg): _literal(keyword.value) for keyword in call.keywords}
    except (SyntaxError, ValueError, AssertionError, RecursionError, MemoryError) as error:
        raise UsageError(f"{text}: ({arguments}) is no list of literal arguments: {error}") from None


def _literal(node: ast.expr) -> Any:
    return node.id if isinstance(node, ast.Name) and node.id not in ("None", "True", "False") else ast.literal_eval(node)


def _found(text: str, module: str, path: str) -> Any:
    """The callable, or a clear error about which part of its name does not exist."""
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise UsageError(f"{text}: no module {error.name!r} can be imported from here ({os.getcwd()}) or from the installed packages") from None
    except Exception as error:
        raise UsageError(f"{text}: importing {module} fails: {type(error).__name__}: {error}") from error
    for name in path.split("."):
        if not hasattr(found, name):
            raise UsageError(f"{text}: {getattr(found, '__name__', module)} has no {name!r}")
        found = getattr(found, name)
    return found


def _made(text: str, factory: Any, positional: list[Any], named: dict[str, Any]) -> Any:
    """The module, on the meta device where that works."""
    try:
        import torch
    except ModuleNotFoundError:
        raise UsageError("importing a torch module needs torch: pip install 'costmodel[torch]'") from None
    if isinstance(factory, torch.nn.Module):
        return factory
    if not callable(factory):
        raise UsageError(f"{text}: is {type(factory).__name__}, which is neither callable nor a torch.nn.Module")
    problem: Exception | None = None
    for device in ("meta", "cpu"):
        try:
            with torch.device(device):
                made = factory(*positional, **named)
        except Exception as error:  # the user's own code may raise anything
            problem = error
            continue
        if not isinstance(made, torch.nn.Module):
            raise UsageError(f"{text}: returns {type(made).__name__}, not a torch.nn.Module")
        return made
    raise UsageError(f"{text}: calling it fails: {type(problem).__name__}: {problem}") from problem
