"""Transformers on phones from the constants of convolutional networks and a few more: ``python -m tests.calibration.transformer_accuracy`` prints the section
of `reports/accuracy.md`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath
from statistics import mean

from costmodel.calibration.fit import fit, priced
from costmodel.calibration.held_out import free_of
from costmodel.calibration.parameters import Free, Path
from costmodel.calibration.rows import only, read_for
from costmodel.calibration.samples import Sample, collect
from costmodel.devices import device

FAMILIES = ("vit", "swin", "mobilevit")
#: What convolutional networks say nothing about, and guesses made before any transformer's time was seen, with a spread of a factor of 2.7. In int8
#: GELU and the logistic function are tables.
NEW = {
    "fp32": {"normalisation_cycles_per_element": 8.0, "softmax_cycles_per_element": 20.0, "error_function_cycles": 20.0},
    "int8": {"normalisation_cycles_per_element": 8.0, "softmax_cycles_per_element": 20.0},
}
GUESSED = 1.0
#: Spread of the logarithm of constants that are kept.
KEPT = 1e-6
#: Phone, cores.
TARGETS = (("pixel4", "large=1"), ("pixel4", "medium=1"), ("pixel4", "small=1"), ("galaxy-s10", "large=1"), ("galaxy-s10", "small=1"), ("iphone-xs", "large=1"))


def section() -> list[str]:
    """The section's lines."""
    lines = [
        "## Transformers on phones",
        "",
        "Constants fitted to each core's convolutional networks alone, then a few more ("
        + "; ".join(f"{dtype}: {', '.join(NEW[dtype])}" for dtype in NEW)
        + ")",
        "to its transformers of the other families: error on the family left out (vit: ViT-B/32 and DeiT; swin; mobilevit). *None*: with guesses of those",
        "constants (8 and 20 cycles).",
        "",
        "| target | transformers | none | a few more, family held out | each |",
        "|---|---|---|---|---|",
    ]
    collected: dict[str, list[float]] = {}
    for name, cores in TARGETS:
        for dtype in ("fp32", "int8"):
            members = samples_of(name, cores, dtype)
            networks = [sample for sample in members if sample.family in FAMILIES]
            none, three = held_out(members)
            each = ", ".join(f"{PurePath(sample.row.network.partition('@')[0]).stem} {error:+.0%}" for sample, error in zip(networks, three, strict=True))
            lines.append(f"| {name} {cores} {dtype} | {len(networks)} | {mean(map(abs, none)):.1%} | {mean(map(abs, three)):.1%} | {each} |")
            collected.setdefault(dtype, []).extend(map(abs, three))
    return [*lines, "", *(f"- {dtype}: {mean(errors):.1%} on average of {len(errors)} rows." for dtype, errors in collected.items()), ""]


def samples_of(name: str, cores: str, dtype: str) -> list[Sample]:
    """Samples of one core."""
    found = device(name)
    return list(collect(only(read_for(name, None), name, {"runtime": "tflite-padded", "cores": cores, "dtype": dtype}), found).samples)


def held_out(members: Sequence[Sample]) -> tuple[list[float], list[float]]:
    """Errors of the transformers among a core's samples: with the convolutional networks' constants, and with a few more from the other families."""
    convolutional = [sample for sample in members if sample.family not in FAMILIES]
    networks = [sample for sample in members if sample.family in FAMILIES]
    core = members[0].target.machine.cores[0].core
    free, new = free_of(members[0].target, core), NEW[members[0].target.dtype]
    known = fit(convolutional, free).values
    known |= {entry.path: new[entry.path[-1]] for entry in free if entry.path[-1] in new}
    none = _errors(networks, known)
    three: list[float] = []
    for sample in networks:
        rest = [other for other in networks if other.family != sample.family]
        kept = [replace(entry, prior=_inside(known[entry.path], entry), spread=GUESSED if entry.path[-1] in new else KEPT, kin="") for entry in free]
        three += _errors([sample], fit(rest, kept, scale=False).values)
    return none, three


def _inside(value: float, entry: Free) -> float:
    return min(max(value, entry.low), entry.high)


def _errors(samples: Sequence[Sample], values: dict[Path, float]) -> list[float]:
    return [float(seconds / sample.seconds - 1) for seconds, sample in zip(priced(samples, values), samples, strict=True)]


if __name__ == "__main__":
    sys.stdout.write("\n".join(section()) + "\n")
