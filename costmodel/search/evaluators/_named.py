"""Evaluators by the words that name them on a command line."""

from __future__ import annotations

import importlib
import os
import reprlib
import sys
from typing import Any

from costmodel.errors import UsageError, unknown
from costmodel.search._table import LatencyTable
from costmodel.search.evaluators._base import Evaluator
from costmodel.search.evaluators._called import Called
from costmodel.search.evaluators._counted import Counted
from costmodel.search.evaluators._gradient_norm import GradientNorm
from costmodel.search.evaluators._images import Images
from costmodel.search.evaluators._listed import listed
from costmodel.search.evaluators._naswot import Naswot
from costmodel.search.evaluators._probe import Probe
from costmodel.search.evaluators._surrogate import surrogate
from costmodel.search.evaluators._synflow import Synflow
from costmodel.search.evaluators._trained import Recipe, Trained

NAMES = ("surrogate", "macs", "parameters", "naswot", "synflow", "gradient-norm", "train")
#: Those that look at images.
_OF_IMAGES = ("naswot", "gradient-norm", "train")


def named(text: str, table: LatencyTable, *, data: Images | None = None, seed: int = 0, epochs: int | None = None) -> Evaluator:
    """The evaluator called `text`: one of `NAMES`, a CSV file, or ``package.module:callable``.

    Parameters
    ----------
    data : images for ``train``, ``naswot`` and ``gradient-norm``; the proxies take noise without.
    epochs : at most so many of ``train``.

    Raises
    ------
    UnknownNameError
        If nothing answers to the name.
    UsageError
        If it needs images, or gets some that it does not look at, or its code cannot be imported.
    """
    space = table.space
    require_named(text, data=data is not None, epochs=epochs is not None)
    if text in _OF_IMAGES or text == "synflow":
        from costmodel.reference._torch import require_torch

        require_torch()
    if text == "surrogate":
        return surrogate(table)
    if text in ("macs", "parameters"):
        return Counted(table=table, count="macs" if text == "macs" else "parameters")
    if text == "naswot":
        return Naswot(probe=Probe(space=space, images=data, seed=seed))
    if text == "gradient-norm":
        return GradientNorm(probe=Probe(space=space, images=data, seed=seed))
    if text == "synflow":
        return Synflow(space=space, seed=seed)
    if text == "train":
        assert data is not None, "`require_named` lets no training through that has no images"
        recipe = Recipe(seed=seed) if epochs is None else Recipe(seed=seed, epochs=epochs)
        return Trained(space=space, images=data, recipe=recipe)
    if text.lower().endswith(".csv"):
        return listed(text, space)
    return Called(space=space, function=own(text, "evaluator"), label=text)


def require_named(text: str, *, data: bool, epochs: bool) -> None:
    """Refuse what `named` cannot make sense of, before there is a table.

    Parameters
    ----------
    data, epochs : whether these are given.

    Raises
    ------
    UsageError
        As `named`.
    """
    if text not in NAMES and not text.lower().endswith(".csv") and ":" not in text:
        raise unknown("evaluator", text, NAMES, hint="or a CSV file, or package.module:callable")
    if data and text not in _OF_IMAGES:
        raise UsageError(f"--data is for the evaluators {', '.join(_OF_IMAGES)}, not for {text}")
    if epochs and text != "train":
        raise UsageError(f"--epochs is for the evaluator train, not for {text}")
    if text == "train" and not data:
        raise UsageError("train needs images: --data digits, or a folder with a folder of images for each class")


def own(text: str, what: str) -> Any:
    """What ``package.module:name`` names in the user's own code, with the current directory importable.

    Raises
    ------
    UsageError
        If the module cannot be imported, or has no such name: says what Python said; or if that cannot be called.
    """
    module, _, name = text.partition(":")
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = getattr(importlib.import_module(module), name)
    except (Exception, SystemExit) as error:  # whatever the user's module raises
        raise UsageError(f"{what} {text}: cannot be imported: {type(error).__name__}: {error}; it is package.module:name") from None
    if not callable(found):
        raise UsageError(f"{what} {text}: is {reprlib.repr(found)}, which cannot be called; name a function, or a class")
    return found
