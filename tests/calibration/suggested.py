"""What three suggested rows are worth beside random ones: ``python -m tests.calibration.suggested`` prints the table of `reports/accuracy.md`.

A phone's constants are taken from another phone, fitted to three of its rows, and scored on all its other rows. The three are those that
`costmodel.calibration.suggest` names, those that are D-optimal, three chosen by hand, and random ones.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from costmodel.calibration.fit import LinearResponses, responses_of
from costmodel.calibration.held_out import free_of, predict_with
from costmodel.calibration.rows import only, read_for
from costmodel.calibration.samples import Sample, collect
from costmodel.calibration.suggest import Criterion, design, prior_inverse
from costmodel.calibration.transfer import profile_text, with_relative
from costmodel.devices import parse_device

#: Three chosen by hand, by what each pins down: dense products, depthwise convolutions, many small kernels.
THREE = ("resnet-18@224", "mobilenet-v1@224", "mobilenet-v3-small@224")
COUNT = 3
#: Draws of random rows, and their seed.
DRAWS, SEED = 100, 0
#: Phone, relative, cores. The Pixel 4's own constants were fitted to its rows, so it begins from the Galaxy S10's.
TRANSFERS = (
    ("pixel4", "galaxy-s10", "large=1"),
    ("pixel4", "galaxy-s10", "medium=1"),
    ("pixel4", "galaxy-s10", "small=1"),
    ("galaxy-s10", "pixel4", "large=1"),
    ("galaxy-s10", "pixel4", "medium=1"),
    ("galaxy-s10", "pixel4", "small=1"),
    ("iphone-xs", "pixel4", "large=1"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Mean errors on the other rows of a phone: from no row, three suggested, D-optimal and hand-picked ones, and the median of random ones."""

    phone: str
    like: str
    cores: str
    dtype: str
    none: float
    suggested: float
    determinant: float
    by_hand: float
    random: float
    networks: tuple[str, ...]


def transfer(phone: str, like: str, cores: str, dtype: str, draws: int = DRAWS) -> Transfer:
    """One line of the table."""
    members = samples_of(phone, like, cores, dtype)
    hand = [sample for sample in members if sample.row.network in THREE]
    suggested = chosen_of(members, "width")
    draw = random.Random(SEED)
    return Transfer(
        phone=phone,
        like=like,
        cores=cores,
        dtype=dtype,
        none=statistics.mean(abs(sample.predicted_s / sample.seconds - 1) for sample in members),
        suggested=beyond(members, suggested),
        determinant=beyond(members, chosen_of(members, "determinant")),
        by_hand=beyond(members, hand),
        random=statistics.median(beyond(members, draw.sample(members, COUNT)) for _ in range(draws)),
        networks=tuple(sample.row.network.rpartition("/")[2].removesuffix(".json") for sample in suggested),
    )


def samples_of(phone: str, like: str, cores: str, dtype: str) -> list[Sample]:
    """The rows of a phone on some cores, with the constants of another one."""
    text, path = profile_text(phone)
    made = parse_device(with_relative(text, path, *profile_text(like)).encode(), path)
    rows = only(read_for(phone, None), phone, {"processor": "cpu", "dtype": dtype, "runtime": "tflite-padded"})
    return [sample for sample in collect(rows, made).samples if sample.row.cores == cores]


def chosen_of(members: Sequence[Sample], criterion: Criterion) -> list[Sample]:
    """The rows to measure first."""
    free = free_of(members[0].target, members[0].target.machine.cores[0].core)
    responses = responses_of(members, [entry.path for entry in free])
    assert isinstance(responses, LinearResponses)
    slopes = responses.slopes(np.log([entry.prior for entry in free]))
    positions, _ = design(slopes, prior_inverse(free, True), COUNT, criterion=criterion)
    return [members[position] for position in positions]


def beyond(members: Sequence[Sample], chosen: Sequence[Sample]) -> float:
    """Mean error on all other rows from constants fitted to `chosen`."""
    rest = [sample for sample in members if all(sample is not one for one in chosen)]
    return statistics.mean(abs(seconds / sample.seconds - 1) for seconds, sample in zip(predict_with(chosen, rest), rest, strict=True))


def table() -> list[str]:
    """The section of the report."""
    found = [transfer(phone, like, cores, dtype) for dtype in ("fp32", "int8") for phone, like, cores in TRANSFERS]
    better = {dtype: [entry.suggested < entry.random for entry in found if entry.dtype == dtype] for dtype in ("fp32", "int8")}
    return [
        "## Which three rows to measure on another phone",
        "",
        "Constants of one phone in cycles with the other phone's clocks and multipliers, on one core; mean error on every other row of that core.",
        "*Suggested*: the rows that `costmodel calibrate --suggest 3` chooses of the measured networks, for the narrowest intervals.",
        f"*D-optimal*: those of the least determinant of the constants' covariance. *By hand*: {', '.join(name.partition('@')[0] for name in THREE)}.",
        f"*Random*: the median of {DRAWS} triples. The criterion was preferred to D-optimality after seeing these rows; it has no constant of its own.",
        "`python -m tests.calibration.suggested` prints this table alone.",
        "",
        "| phone, constants of | cores | dtype | no row | suggested | D-optimal | by hand | random | suggested networks |",
        "|---|---|---|---|---|---|---|---|---|",
        *(
            f"| {entry.phone}, {entry.like} | {entry.cores} | {entry.dtype} | {entry.none:.1%} | {entry.suggested:.1%} | {entry.determinant:.1%} "
            f"| {entry.by_hand:.1%} | {entry.random:.1%} | {', '.join(entry.networks)} |"
            for entry in found
        ),
        "",
        "Three suggested rows beat the median of random triples on "
        + " and ".join(f"{sum(wins)} of {len(wins)} cores in {dtype}" for dtype, wins in better.items())
        + ".",
        "",
    ]


if __name__ == "__main__":
    print("\n".join(table()))
