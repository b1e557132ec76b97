"""Networks that work through their batch sample by sample: at a batch of a thousand they would make a thousand times the calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class UnrolledError(Exception):
    """Raised while a network is traced: it takes its batch apart."""


@contextmanager
def not_unrolled(batch: int) -> Iterator[None]:
    """Within it, going through a tensor of `batch` rows row by row raises `UnrolledError`; nothing does where `batch` is 0.

    Only iteration is watched, which costs nothing: what takes rows one by one in another way is traced at length, fails where
    its calls are put together, and is then tried at the batch given. Callers see to it that one thread at a time is inside.
    """
    if not batch:
        yield
        return
    import torch

    iterate = torch.Tensor.__iter__

    def watched(self: Any) -> Any:
        if self.dim() and self.shape[0] == batch:
            raise UnrolledError("it works through its batch sample by sample")
        return iterate(self)

    torch.Tensor.__iter__ = watched
    try:
        yield
    finally:
        torch.Tensor.__iter__ = iterate
