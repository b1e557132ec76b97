"""`suggest` by the names that users have: a profile, files of rows, a relative."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from costmodel.calibration import rows, transfer
from costmodel.calibration import suggest as _design
from costmodel.calibration.calibrate import begun
from costmodel.calibration.samples import collect, distinct
from costmodel.calibration.suggest import CANDIDATES, Suggestion
from costmodel.devices import parse_device, resolve_target
from costmodel.errors import whole


def suggest(
    device: str | os.PathLike[str],
    count: int,
    *,
    measurements: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
    like: str | os.PathLike[str] | None = None,
    networks: Sequence[str] = CANDIDATES,
    batch: int = 1,
    skip_refused: bool = False,
    processor: str | None = None,
    runtime: str | None = None,
    dtype: str | None = None,
) -> tuple[Suggestion, ...]:
    """The `count` networks whose measurement would narrow a device's intervals most, for each set of constants that has rows.

    Parameters
    ----------
    device : a profile's name or file; with `like` it may state the hardware alone.
    measurements : CSV files of the rows that there are; None takes those that ship. Without any, the profile's constants and their priors decide.
    like : the profile whose constants a processor without its own begins from.
    networks : to choose from.
    batch : samples a pass.
    processor, runtime, dtype : of the rows, and of the target where there are none.

    Raises
    ------
    InvalidFileError
        If a file is none of measured rows, or some of its rows are refused: lists them with their lines.
    UsageError
        If so many networks cannot be chosen, or the batch is none.

    Examples
    --------
    >>> (found,) = suggest("pixel6", 2)
    >>> found.widths[0] > found.widths[1] > found.widths[2]
    True
    """
    whole("batch", batch, 1, rows.LARGEST_BATCH)
    text, path = transfer.profile_text(os.fspath(device))
    if like is not None:
        text = transfer.with_relative(text, path, *transfer.profile_text(os.fspath(like)))
    found = parse_device(text.encode(), path)
    files = rows.read_for(found.name, rows.paths(measurements))
    found = begun(found, rows.names(files))
    wanted = rows.stated(processor=processor, runtime=runtime, dtype=dtype)
    chosen = rows.only(files, found.name, wanted) if measurements is not None else rows.matching(files, found.name, wanted)
    collected = distinct(collect(chosen, found))
    refused = rows.in_order(rows.problems(files), collected.problems)
    rows.require_sound(refused, skip_refused=skip_refused)
    target = resolve_target(found, processor=processor, runtime=runtime, dtype=dtype)
    return tuple(replace(entry, refused=refused) for entry in _design.suggest(collected.samples, target, count, networks, batch))
