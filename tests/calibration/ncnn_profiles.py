"""The ncnn constants of the profiles that have rows under it: ``python -m tests.calibration.ncnn_profiles`` writes them into ``device_profiles/``.

Priors of a device are constants pooled from the other devices' rows (`costmodel.calibration.pooled`), its own rows then fit them; cores and precisions
without rows keep the pooled ones, and so does a device without any. Intervals are those of families held out of all rows, every family of every device a
group of its own; they stay unless more of a device's own rows are outside than chance explains.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from scipy.stats import binom

from costmodel.calibration.calibrate import calibrate
from costmodel.calibration.conformal import LEVEL, interval_width
from costmodel.calibration.pooled import Pool, leave_device_out, leave_family_out
from costmodel.calibration.profile_text import Table, number, sourced, with_values
from costmodel.calibration.rows import RowFile, names, only, read_rows
from costmodel.calibration.samples import Sample, collect
from costmodel.calibration.together import SPEEDS
from costmodel.devices import Device, Target, device, device_names, parse_device, profile_folder, resolve_target
from costmodel.laws import PEAK_TOLERANCE

RUNTIME = "ncnn"
FACTOR_DIGITS = 1000
#: Networks that benchncnn got with the years, the latest first: tables without any of a set are of builds from before, whose kernels are not the later ones'.
AGES = (
    ("", frozenset({"efficientnetv2-b0", "graphs/yolo-fastestv2.json", "graphs/yolov4-tiny.json"})),
    ("2020", frozenset({"efficientnet-b0", "regnet-y-400mf", "shufflenet-v2-1.0"})),
    ("2019", frozenset[str]()),
)
#: Products of a 5x5 window for each row, beside those of a 3x3 window.
WIDER = 5 / 3
_INTERVAL_SOURCE = (
    'ncnn_interval = "rows of ncnn.csv with families held out of all devices, or devices held out where this one has none; '
    'tests/calibration/ncnn_profiles.py"\n'
)
#: Probability below which chance does not explain how many rows are outside the interval.
_CHANCE = 0.05


def rows_file() -> RowFile:
    """The rows of benchncnn that ship."""
    return read_rows(profile_folder() / "measurements" / "ncnn.csv")


def all_samples(file: RowFile) -> tuple[list[Sample], list[str]]:
    """Samples of every device of the file, and why rows are none, in words."""
    samples, left = [], []
    for name in dict.fromkeys(row.device for row in file.rows):
        found = collect([row for row in file.rows if row.device == name], device(name))
        samples += found.samples
        left += [f"{entry.row.network}: {entry.reason}" for entry in found.unbuilt] + [str(problem) for problem in found.problems]
    return samples, left


def builds(samples: Sequence[Sample]) -> dict[str, str]:
    """Device -> what its rows' build has in common with others': the year of its age, none for the latest."""
    networks: dict[str, set[str]] = {}
    for sample in samples:
        networks.setdefault(sample.target.device.name, set()).add(sample.row.network)
    return {name: next(age for age, had in AGES if not had or had & have) for name, have in networks.items()}


def main(chosen: Sequence[str] = ()) -> None:
    """Write the profiles, all or those chosen by name."""
    file = rows_file()
    samples, _ = all_samples(file)
    ages = builds(samples)
    pool = Pool(samples, ages)
    fitted = {sample.row.device for sample in samples if len(sample.target.machine.cores) == 1}  # others have rows of mixed cores alone
    wanted = [name for name in device_names() if (not chosen or name in chosen) and _offers(name)]
    held = leave_family_out(samples, ages)
    own, others = _factors(samples, held), _factors(samples, leave_device_out(samples, ages))
    misses = _misses(samples, held, own)
    for name in wanted:
        found = device(name)
        path = Path(found.path)
        text = _with_source(_with_priors(path.read_text(encoding="utf-8"), found, pool, own, others))
        if name in fitted:
            made = calibrate(only([file], name, {}), parse_device(text.encode(), name), text, files=names([file]), absolute=True)
            print(name, made.parameters, *made.warnings, sep="\n  ")
            text = _with_intervals(made.profile, found, own, misses)
        path.write_text(_with_source(text), encoding="utf-8")


def _with_source(text: str) -> str:
    """The profile with the source of pooled intervals where one names it, and without it where none does."""
    lines = text.splitlines(keepends=True)
    stated = [line for line in lines if line.startswith("ncnn_interval = ")]
    if '"ncnn_interval"' in text:
        return text if stated else text.replace("[sources]\n", f"[sources]\n{_INTERVAL_SOURCE}", 1)
    return "".join(line for line in lines if line not in stated)


def _offers(name: str) -> bool:
    processor = device(name).profile.processors.get("cpu")
    return processor is not None and RUNTIME in processor.runtimes


def _factors(samples: Sequence[Sample], predicted: Sequence[float]) -> Mapping[tuple[bool, bool], float]:
    """(whether int8, whether several cores) -> the factor of the 90 % interval."""
    errors: dict[tuple[bool, bool], list[tuple[float, str]]] = {}
    for sample, seconds in zip(samples, predicted, strict=True):
        key = _key(sample)
        group = f"{sample.target.device.name} {sample.target.cores_text} {sample.family}"
        errors.setdefault(key, []).append((math.log(seconds / sample.seconds), group))
    return {key: interval_width(*_columns(found)).factor for key, found in errors.items()}


def _key(sample: Sample) -> tuple[bool, bool]:
    return sample.target.dtype == "int8", (sample.target.threads or 1) > 1


def _misses(samples: Sequence[Sample], predicted: Sequence[float], factors: Mapping[tuple[bool, bool], float]) -> dict[tuple[str, str], list[bool]]:
    """(device, precision) -> whether each of its rows is outside the interval."""
    found: dict[tuple[str, str], list[bool]] = {}
    for sample, seconds in zip(samples, predicted, strict=True):
        outside = abs(math.log(seconds / sample.seconds)) > math.log(factors[_key(sample)])
        found.setdefault((sample.target.device.name, sample.target.dtype), []).append(outside)
    return found


def _with_intervals(text: str, found: Device, factors: Mapping[tuple[bool, bool], float], misses: Mapping[tuple[str, str], Sequence[bool]]) -> str:
    """The profile with the intervals of all devices together, but where rows gave it its own, or where chance does not explain how many are outside.

    On several cores none is narrower than that of all devices together.
    """
    made = parse_device(text.encode(), found.name)
    changes: dict[Table, dict[str, str]] = {}
    for (name, dtype), outside in misses.items():
        table = _table(dtype)
        entry = made.provenance.get(".".join((*table, "interval_factor")))
        chance = float(binom.sf(sum(outside) - 1, len(outside), 1 - LEVEL))
        if name == found.name and (entry is None or entry.kind != "fitted") and chance > _CHANCE:
            changes[table] = _interval(dtype, "calibrated", factors)
        elif name == found.name:  # its own interval, which rows of one core may have made alone
            stated = made.profile.processors["cpu"].runtimes[RUNTIME].dtypes[dtype].parallel_interval_factor
            if stated is not None and stated < factors[dtype == "int8", True]:
                changes[table] = {"parallel_interval_factor": _factor(dtype, factors, parallel=True)}
    return with_values(text, changes) if changes else text


def _table(dtype: str) -> Table:
    return ("processors", "cpu", "runtimes", RUNTIME, "dtypes", dtype)


def _interval(dtype: str, basis: str, factors: Mapping[tuple[bool, bool], float]) -> dict[str, str]:
    """What a precision says of its intervals, of one core and of several."""
    single, parallel = (_factor(dtype, factors, parallel=parallel) for parallel in (False, True))
    return {"basis": f'"{basis}"', "interval_factor": single, "parallel_interval_factor": parallel}


def _factor(dtype: str, factors: Mapping[tuple[bool, bool], float], *, parallel: bool) -> str:
    return sourced(math.ceil(factors[dtype == "int8", parallel] * FACTOR_DIGITS) / FACTOR_DIGITS, "fitted", "ncnn_interval")


def _columns(errors: Iterable[tuple[float, str]]) -> tuple[list[float], list[str]]:
    sizes, groups = zip(*errors, strict=True)
    return list(sizes), list(groups)


def _with_priors(text: str, found: Device, pool: Pool, own: Mapping[tuple[bool, bool], float], others: Mapping[tuple[bool, bool], float]) -> str:
    """The profile with pooled constants for every core and precision, and with intervals."""
    changes: dict[Table, dict[str, str]] = {}
    for dtype in found.profile.processors["cpu"].runtimes[RUNTIME].dtypes:
        table = _table(dtype)
        fitted = any((rows.device, rows.dtype) == (found.name, dtype) for rows in pool.rows)
        clusters = found.profile.processors["cpu"].clusters
        for cluster in clusters:
            target = resolve_target(found, runtime=RUNTIME, dtype=dtype, cores=f"{cluster.name}=1")
            measured = any((rows.device, rows.core, rows.dtype) == (found.name, cluster.core, dtype) for rows in pool.rows)
            # a core without rows follows from the device's other cores, too: they say what its build does
            constants = pool.constants(target, cluster.core, without_device=found.name if measured else "")
            if not fitted:
                constants |= {name: max(constants[name], least) for name, least in _least_of_windows(target, cluster.core).items()}
            changes[(*table, "parameters", "cores", cluster.core)] = {name: number(value) for name, value in constants.items()}
        whole = resolve_target(found, runtime=RUNTIME, dtype=dtype, cores=",".join(f"{cluster.name}={cluster.cores}" for cluster in clusters))
        together, speeds = _together(pool, whole)
        changes[(*table, "parameters")] = {"window_rows": "true", **together}
        changes[(*table, "parameters", SPEEDS)] = speeds
        changes[table] = _interval(dtype, "calibrated" if fitted else "transferred", own if fitted else others)
    return with_values(text, changes)


def _least_of_windows(target: Target, core: str) -> dict[str, float]:
    """The cycles below which 5x5 windows of single channels, which take three fifths of those of 3x3 for each product, would be over a core's peak."""
    group = next(group for group in target.machine.cores if group.core == core)
    macs = group.flops_per_cycle.get(target.dtype, group.flops_per_cycle["fp32"]) / 2
    return {"depthwise_cycles_per_mac": WIDER / (macs * PEAK_TOLERANCE)}


def _together(pool: Pool, target: Target) -> tuple[dict[str, str], dict[str, str]]:
    """What several cores do to each other, and each core's speed beside others: by the device's own rows of several cores, else by other devices'."""
    own = pool.own_together(target)
    found = pool.others_together(target) if own is None else own
    kind, source = ("assumed", "ncnn_pool") if own is None else ("fitted", "ncnn_share")
    texts = {path: sourced(value, kind, source) for path, value in found.items()}
    return {path[0]: text for path, text in texts.items() if len(path) == 1}, {path[1]: text for path, text in texts.items() if path[0] == SPEEDS}


if __name__ == "__main__":
    main(sys.argv[1:])
