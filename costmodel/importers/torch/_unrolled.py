"""Networks that work through their batch sample by sample: at a batch of a thousand they would make a thousand times the calls."""

from __future__ import annotations

import contextlib
from typing import Any

#: Samples that a network may take out of its batch one by one, such as the first or the last.
_SINGLE = 8


class UnrolledError(Exception):
    """Raised while a network is traced: it takes its batch apart."""


def not_unrolled(batch: int) -> Any:
    """A context in which taking a `batch` apart raises `UnrolledError`; nothing does where `batch` is 0."""
    if not batch:
        return contextlib.nullcontext()
    import torch
    from torch.overrides import TorchFunctionMode

    class Watch(TorchFunctionMode):  # type: ignore[misc]  # torch is loaded here only
        """Every call of a function of torch."""

        taken = 0

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            if isinstance(result, tuple | list) and not isinstance(result, torch.Size) and len(result) >= batch:
                raise UnrolledError("it works through its batch sample by sample")
            if func is torch.Tensor.__getitem__ and isinstance(args[1], int) and args[0].shape[0] == batch:
                self.taken += 1
                if self.taken > _SINGLE:
                    raise UnrolledError("it works through its batch sample by sample")
            return result

    return Watch()
