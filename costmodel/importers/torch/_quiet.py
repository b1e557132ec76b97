"""`quietly`: code of torch and of its users runs, and nothing outside changes by it."""

from __future__ import annotations

import contextlib
import io
import logging
import random
import sys
import threading
import warnings
from collections.abc import Iterator

#: What is put aside belongs to the process, such as ``sys.stdout``: one thread at a time.
_LOCK = threading.RLock()


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Nothing printed, no warnings, no random numbers drawn from the user's generators.

    A failing export prints whole graphs, and a module's own warnings, which may be errors, are not about its costs. torch's
    fused path of attention is switched off, which no other runtime has and which neither runs without data nor is traced.
    """
    import torch

    with _LOCK, _silent(), _unrandom():
        fused = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fused)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("torch", "torch.export", "torch._export", "torch.fx")]
    levels = [logger.level for logger in loggers]
    sink = io.StringIO()
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with contextlib.redirect_stderr(sink), contextlib.redirect_stdout(sink), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def _unrandom() -> Iterator[None]:
    """The random numbers of torch (on the CPU, where modules are run), Python and numpy continue as if nothing had drawn any."""
    import torch

    own, numpy = random.getstate(), sys.modules.get("numpy")
    state = numpy.random.get_state() if numpy is not None else None
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(own)
        if numpy is not None:
            numpy.random.set_state(state)
