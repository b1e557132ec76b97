"""Rows of benchncnn's tables: ``python -m tests.calibration.benchncnn_rows README.md`` writes `device_profiles/measurements/ncnn.csv` anew.

The README is that of Tencent/ncnn's benchmark folder, of which source packages of other projects hold copies (sr-vulkan 2.0.0: of 2024). A target's table is
the one that has all the figures of that target in `ncnn.csv`. Runs that something interrupted are left out: those whose mean is over their minimum by
`INTERRUPTED`.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from costmodel.devices import profile_folder
from tests.calibration.ncnn_profiles import rows_file

#: Networks as benchncnn names them -> as we do; int8 has a suffix.
NETWORKS = {
    "alexnet": "alexnet",
    "efficientnet_b0": "efficientnet-b0",
    "efficientnetv2_b0": "efficientnetv2-b0",
    "googlenet": "googlenet",
    "mnasnet": "mnasnet-b1",
    "mobilenet": "mobilenet-v1",
    "mobilenet_ssd": "graphs/mobilenet_ssd.json",
    "mobilenet_v2": "graphs/mobilenet_v2.json",
    "mobilenetv2_yolov3": "graphs/mobilenetv2_yolov3.json",
    "regnety_400m": "regnet-y-400mf",
    "resnet18": "graphs/resnet18.json",
    "resnet50": "resnet-50-v1",
    "shufflenet_v2": "shufflenet-v2-1.0",
    "squeezenet": "graphs/squeezenet.json",
    "squeezenet_ssd": "graphs/squeezenet_ssd.json",
    "vgg16": "vgg-16",
    "vision_transformer": "vit-b-32@384",
    "yolo-fastestv2": "graphs/yolo-fastestv2.json",
    "yolov4-tiny": "graphs/yolov4-tiny.json",
}
#: Mean over minimum of a run that something interrupted: ten of a thousand rows, of which the worst takes eight times its minimum once.
INTERRUPTED = 1.25
INT8 = "_int8"
COLUMNS = ("network", "device", "runtime", "dtype", "cores", "latency_ms", "source")
_ABSENT = "nan", "nan"
COPY = "Tencent/ncnn benchmark/README.md (a copy of 2024 in the source package of sr-vulkan 2.0.0)"

_START = re.compile(r"\bnum_threads\s*=\s*\d+")
_LINE = re.compile(r"\s*(\S+)\s+min\s*=\s*([\d.]+)\s+max\s*=\s*[\d.]+\s+avg\s*=\s*([\d.]+)")
_SOURCE = re.compile(r", (\S+)\.param, (.*)$")

#: A network of benchncnn -> the least milliseconds of its runs and their mean, as printed.
Table = Mapping[str, tuple[str, str]]


def tables(text: str) -> list[Table]:
    """The tables of a README: the least and the mean milliseconds by network, a table for each run of benchncnn.

    Examples
    --------
    >>> tables("num_threads = 4\\nvgg16  min = 1.00  max = 3.00  avg = 2.00\\nnum_threads = 1\\nvgg16  min = 4.00  max = 6.00  avg = 5.00\\n")
    [{'vgg16': ('1.00', '2.00')}, {'vgg16': ('4.00', '5.00')}]
    """
    found: list[dict[str, tuple[str, str]]] = []
    for line in text.splitlines():
        if _START.search(line):
            found.append({})
        elif found and (match := _LINE.match(line)):
            found[-1][match[1]] = match[2], match[3]
    return found


def rows(known: Sequence[Table]) -> Iterator[dict[str, str]]:
    """Rows of `NETWORKS` of every target of `ncnn.csv`, but for runs that were interrupted.

    Raises
    ------
    ValueError
        If no table has all the figures of a target.
    """
    targets: dict[tuple[str, str, str], dict[str, tuple[float, str]]] = {}
    for row in rows_file().rows:
        network, run = _SOURCE.search(row.source or "").groups()  # type: ignore[union-attr]
        targets.setdefault((row.device, row.cores or "", run), {})[network] = (row.seconds * 1e3, row.dtype or "")
    for (device, cores, run), figures in targets.items():
        table = next((table for table in known if all(abs(float(table.get(name, _ABSENT)[1]) - value) < 1e-6 for name, (value, _) in figures.items())), None)
        if table is None:
            raise ValueError(f"no table of the README has the figures of {device} {cores}")
        floating = next(dtype for _, dtype in figures.values() if dtype != "int8")
        for name, network in NETWORKS.items():
            for printed, dtype in ((name, floating), (name + INT8, "int8")):
                least, mean = table.get(printed, _ABSENT)
                if float(mean) <= INTERRUPTED * float(least):
                    source = f"{COPY}, {printed}.param, {run}"
                    yield dict(zip(COLUMNS, (network, device, "ncnn", dtype, cores, mean, source), strict=True))


def main(path: Path) -> None:
    """Write `ncnn.csv` anew."""
    found = list(rows(tables(path.read_text(encoding="utf-8"))))
    with (profile_folder() / "measurements" / "ncnn.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)
    print(len(found), "rows")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
