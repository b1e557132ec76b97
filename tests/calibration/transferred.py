"""What constants of a relative are worth before any row, and by how much they are off: ``python -m tests.calibration.transferred``.

First table: mean errors of every row of a phone, predicted with another phone's constants, by all rules of `costmodel.calibration.transfer` and without
each of them; then of ncnn's rows on single cores of boards and phones, over all pairs of devices. No rule has a number that was fitted to rows, but which
rules there are was decided after seeing these.

Second table: the spreads of `costmodel.calibration.parameters`, by marginal likelihood: with the logarithms of constants off by d ~ N(0, C), of which the
spreads make C, log times differ from predictions by J d and the law's own error, which is N(0, J C J' + error^2). J are slopes at the most probable
constants. A weak prior of a factor of `_VAGUE` around 0.25 keeps spreads finite of which few pairs speak. The own spread is kept: families held
out (`costmodel validate`) are worse with what this finds for it, 0.25, because networks of one family err together.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from scipy.optimize import minimize

from costmodel.calibration import parameters, transfer
from costmodel.calibration.fit import Array, LinearResponses, linear_responses, priced
from costmodel.calibration.held_out import free_of, ground_of, parts_of
from costmodel.calibration.parameters import Free
from costmodel.calibration.rows import only, read_for
from costmodel.calibration.samples import Sample, collect
from costmodel.devices import device
from costmodel.laws._cycle_constants import MOVED, PRODUCTS, Constants
from costmodel.laws._marks import Mark, marked
from tests.calibration.suggested import TRANSFERS, samples_of

#: Transfers in both directions.
DIRECTIONS = (
    *TRANSFERS,
    *(("pixel4", "iphone-xs", cores) for cores in ("large=1", "medium=1", "small=1")),
    *(("galaxy-s10", "iphone-xs", cores) for cores in ("large=1", "medium=1", "small=1")),
    ("iphone-xs", "galaxy-s10", "large=1"),
)
#: Devices with rows of single cores under ncnn in fp32.
BOARDS = (
    *("khadas-vim3", "kirin-970", "raspberry-pi-3b-plus", "raspberry-pi-zero-2w", "rk3399", "rk3588"),
    *("snapdragon-410", "snapdragon-660", "snapdragon-675", "snapdragon-810", "snapdragon-835"),
)
#: What is switched off, and how.
RULES: Mapping[str, Mapping[str, Any]] = {
    "all rules": {},
    "no width": {"_WIDTH_EXPONENT": 0.0},
    "no bandwidth": {"_byte_cycles": lambda cluster, processor: 1.0},
    "no latency": {"_latency_cycles": lambda cluster: 1.0},
    "no caches": {"_last_cache_kib": lambda cluster, processor: 0.0},
    "windows as all else": {"DEPTHWISE": ()},
    "in order as not": {"_IN_ORDER_CYCLES": 1.0},
    "multipliers alone": {"_WIDTH_EXPONENT": 0.0, "_byte_cycles": lambda cluster, processor: 1.0, "DEPTHWISE": (), "_IN_ORDER_CYCLES": 1.0},
}
FUNCTIONS = marked(Constants, Mark.FUNCTION)
#: One direction of each pair of cores that differ, for the spreads.
PAIRS = (
    *(("galaxy-s10", "pixel4", cores) for cores in ("large=1", "medium=1", "small=1")),
    *(("pixel4", "galaxy-s10", cores) for cores in ("large=1", "small=1")),
    ("iphone-xs", "pixel4", "large=1"),
    ("iphone-xs", "galaxy-s10", "large=1"),
)
#: The spreads that are estimated, and what is taken of them.
SPREADS = {
    "all": float("nan"),
    "kin": parameters.KIN_SPREAD,
    "memories": parameters.MEMORY_SPREAD,
    "products": parameters.PRODUCT_SPREAD,
    "functions": parameters.FUNCTION_SPREAD,
}
#: The law's error beside its constants' in these fits: `ROW_ERROR` and a little for lines through bent curves.
_ERROR = 0.035
_VAGUE = 1.5
_STEPS = 25


def switched(rules: Mapping[str, Any]) -> ExitStack:
    """A context in which rules of `transfer` are others."""
    stack = ExitStack()
    for name, value in rules.items():
        stack.enter_context(patch.object(transfer, name, value))
    return stack


def errors(phone: str, like: str, cores: str, dtype: str) -> list[float]:
    """Predicted over measured of each row of a phone, with the constants of another one, less 1."""
    return [sample.predicted_s / sample.seconds - 1 for sample in samples_of(phone, like, cores, dtype)]


@functools.cache
def board(name: str) -> dict[str, list[Sample]]:
    """The fp32 rows of single cores of a device under ncnn, by core."""
    found = collect(only(read_for(name, None), name, {"runtime": "ncnn"}), device(name)).samples
    single = [sample for sample in found if sample.target.dtype == "fp32" and sample.target.threads == 1]
    return {str(core): rows for core, rows in parts_of(single, ground_of(single[0].target))}


@functools.cache
def stated(name: str) -> Mapping[str, Any]:
    """The processor of a device as its profile states it."""
    processors: Mapping[str, Any] = tomllib.loads(transfer.profile_text(name)[0])["processors"]
    return processors["cpu"]


def board_error(name: str, core: str, like: str, *, waiting: bool = False) -> float:
    """Mean error of the rows of a core of a device under ncnn with the constants of another one; `waiting`: what moves elements follows the memory too."""
    constants = stated(like)["runtimes"]["ncnn"]["dtypes"]["fp32"]["parameters"]["cores"]
    carried = transfer.carried_over(constants, stated(name), stated(like), "fp32", vectorised=True)[core]
    if waiting:
        moved = transfer.carried_over(constants, stated(name), stated(like), "fp32", vectorised=False)[core]
        carried |= {constant: moved[constant] for constant in MOVED if constant in moved}
    values = {("cores", core, constant): value for constant, value in carried.items()}
    rows = board(name)[core]
    return statistics.mean(abs(seconds / row.seconds - 1) for seconds, row in zip(priced(rows, values), rows, strict=True))


def zero_row_table() -> list[str]:
    """Errors before any row, by all rules and without each."""
    lines = []
    for dtype in ("fp32", "int8"):
        lines += ["", f"| {dtype} | " + " | ".join(f"{phone} {cores.partition('=')[0]} of {like}" for phone, like, cores in DIRECTIONS) + " |"]
        lines.append("|---" * (len(DIRECTIONS) + 1) + "|")
        for rule, changes in RULES.items():
            with switched(changes):
                found = [errors(*direction, dtype) for direction in DIRECTIONS]
            lines.append(f"| {rule} | " + " | ".join(f"{statistics.mean(map(abs, ratios)):.1%}" for ratios in found) + " |")
            if not changes:
                sizes = [np.abs(np.log1p(ratios)) for ratios in found]
                other = ["small" in cores and like == "iphone-xs" for _, like, cores in DIRECTIONS]
                quantiles = [
                    float(np.exp(np.quantile(np.concatenate([size for size, cross in zip(sizes, other, strict=True) if cross == wanted]), 0.9)))
                    for wanted in (False, True)
                ]
        lines.append(f"\n90 % of rows within a factor of {quantiles[0]:.2f}, from cores of the other kind of {quantiles[1]:.2f} (all rules)")
    return lines


def board_table() -> list[str]:
    """The same over pairs of devices under ncnn, by the kinds of their cores."""
    lines = ["", "| ncnn, fp32, mean of all pairs | not in order | in order | of the other kind |", "|---|---|---|---|"]
    for rule in ("all rules", "no width", "in order as not", "multipliers alone", "bandwidth too"):
        changes = RULES.get(rule, {})
        found: dict[str, list[float]] = {"not": [], "in": [], "other": []}
        with switched(changes):
            for name in BOARDS:
                for core in board(name):
                    for like in BOARDS:
                        if like != name:
                            kinds = {cluster["core"] in transfer.IN_ORDER for cluster in stated(like)["clusters"]}
                            kind = "other" if (core in transfer.IN_ORDER) not in kinds else "in" if core in transfer.IN_ORDER else "not"
                            found[kind].append(board_error(name, core, like, waiting=rule not in RULES))
        lines.append(f"| {rule} | " + " | ".join(f"{statistics.mean(values):.1%} ({len(values)})" for values in found.values()) + " |")
    return lines


@functools.cache
def known(phone: str, like: str, cores: str, dtype: str) -> tuple[LinearResponses, tuple[Free, ...], Array]:
    """(what each constant contributes to each row of a phone, constants of another phone, log seconds)."""
    rows = samples_of(phone, like, cores, dtype)
    free = free_of(rows[0].target, rows[0].target.machine.cores[0].core)
    return linear_responses(rows, [entry.path for entry in free]), free, np.log([row.seconds for row in rows])


def covariance(free: Sequence[Free], spreads: Mapping[str, float]) -> Array:
    """Of the constants' logarithms: (constants, constants)."""
    total = np.full((len(free), len(free)), spreads["all"] ** 2)
    for kin in {entry.kin for entry in free} - {""}:
        members = np.array([entry.kin == kin for entry in free], dtype=float)
        total += np.outer(members, members) * spreads["memories" if kin == "memories" else "kin"] ** 2
    own = [spreads["products"] if entry.path[-1] in PRODUCTS else spreads["functions"] if entry.path[-1] in FUNCTIONS else entry.spread for entry in free]
    return np.asarray(total + np.diag(np.square(own)), dtype=np.float64)


def surprise(pair: tuple[str, str, str, str], spreads: Mapping[str, float]) -> float:
    """Minus the logarithm of how probable the rows of a phone are with the constants of another one, but for a constant."""
    responses, free, measured = known(*pair)
    spread = covariance(free, spreads)
    inverse = np.linalg.inv(spread)
    prior = np.log([entry.prior for entry in free])
    logs, low = prior.copy(), np.log([entry.low for entry in free])
    for _ in range(_STEPS):
        slopes, off = responses.slopes(logs), measured - np.log(responses.seconds(logs))
        step = np.linalg.solve(slopes.T @ slopes / _ERROR**2 + inverse, slopes.T @ off / _ERROR**2 - inverse @ (logs - prior))
        logs = np.maximum(logs + step * min(1.0, 1 / float(np.abs(step).max())), low)
    slopes, off = responses.slopes(logs), measured - np.log(responses.seconds(logs))
    difference = off + slopes @ (logs - prior)
    total = slopes @ spread @ slopes.T + _ERROR**2 * np.eye(len(measured))
    return 0.5 * float(difference @ np.linalg.solve(total, difference) + np.linalg.slogdet(total)[1])


def estimated(pairs: Sequence[tuple[str, str, str, str]]) -> dict[str, float]:
    """The spreads under which these pairs are the most probable."""

    def misfit(logs: Array) -> float:
        spreads = dict(zip(SPREADS, np.exp(logs).tolist(), strict=True))
        return sum(surprise(pair, spreads) for pair in pairs) + 0.5 * float((((logs - np.log(0.25)) / _VAGUE) ** 2).sum())

    found = minimize(misfit, np.log([0.2, 0.2, 0.3, 0.2, 0.5]), method="Powell", options={"maxfev": 500, "ftol": 1e-3})
    return dict(zip(SPREADS, np.exp(found.x).tolist(), strict=True))


def spread_table() -> list[str]:
    """Estimates from all pairs of phones, and from those without each phone."""
    lines = ["", "| spreads by pairs | " + " | ".join(SPREADS) + " |", "|---" * (len(SPREADS) + 1) + "|"]
    for title, dtypes in {"fp32": ("fp32",), "int8": ("int8",), "both": ("fp32", "int8")}.items():
        pairs = [(*pair, dtype) for dtype in dtypes for pair in PAIRS]
        for without in ("", "pixel4", "galaxy-s10", "iphone-xs") if title == "both" else ("",):
            found = estimated([pair for pair in pairs if without not in pair[:2]])
            label = f"{title}, without {without}" if without else title
            lines.append(f"| {label} | " + " | ".join(f"{value:.2f}" for value in found.values()) + " |")
    return [*lines, "| taken | " + " | ".join("" if value != value else f"{value:.2f}" for value in SPREADS.values()) + " |"]


HEAD = (
    "# What constants of a relative are worth before any row",
    "",
    "Regenerate with `python -m tests.calibration.transferred -o reports/transfer.md`. Mean errors of every row of a phone under TensorFlow Lite's own",
    "kernels, predicted with another phone's constants by all rules of `costmodel/calibration/transfer.py`, and without each; then of ncnn's rows on single",
    "cores, over all pairs of devices. Which rules there are was decided after seeing these rows; none has a number that was fitted to them.",
    "",
)
SPREADS_HEAD = (
    "",
    "By how much constants of a relative are off: standard deviations of logarithms, by marginal likelihood, and what `costmodel/calibration/parameters.py`",
    "takes, which says where that differs and why.",
)


def main() -> None:
    """Print the report, or write it to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", dest="path", help="write the report here; stdout without")
    path = parser.parse_args().path
    text = "\n".join([*HEAD, *zero_row_table(), "", *board_table(), *SPREADS_HEAD, *spread_table(), ""])
    if path:
        Path(path).write_text(text, encoding="utf-8")
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
