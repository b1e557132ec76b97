"""Rows of benchncnn's tables of networks that `ncnn.csv` lacks: ``python -m tests.calibration.benchncnn_rows README.md`` writes `ncnn_unfitted.csv`.

The README is that of Tencent/ncnn's benchmark folder, of which source packages of other projects hold copies (sr-vulkan 2.0.0: of 2024). A target's table is
the one that has all the figures of that target in `ncnn.csv`.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.calibration.ncnn_accuracy import UNFITTED
from tests.calibration.ncnn_profiles import rows_file

#: Networks as benchncnn names them -> as we do; int8 has a suffix.
NETWORKS = {
    "alexnet": "alexnet",
    "efficientnet_b0": "efficientnet-b0",
    "mobilenet": "mobilenet-v1",
    "mobilenetv2_yolov3": "graphs/mobilenetv2_yolov3.json",
    "regnety_400m": "regnet-y-400mf",
    "resnet18": "graphs/resnet18.json",
    "resnet50": "resnet-50-v1",
    "shufflenet_v2": "shufflenet-v2-1.0",
    "squeezenet_ssd": "graphs/squeezenet_ssd.json",
}
INT8 = "_int8"
COLUMNS = ("network", "device", "runtime", "dtype", "cores", "latency_ms", "source")
COPY = "Tencent/ncnn benchmark/README.md (a copy of 2024 in the source package of sr-vulkan 2.0.0)"

_START = re.compile(r"\bnum_threads\s*=\s*\d+")
_LINE = re.compile(r"\s*(\S+)\s+min\s*=\s*[\d.]+\s+max\s*=\s*[\d.]+\s+avg\s*=\s*([\d.]+)")
_SOURCE = re.compile(r", (\S+)\.param, (.*)$")

#: A network of benchncnn -> milliseconds as printed.
Table = Mapping[str, str]


def tables(text: str) -> list[Table]:
    """The tables of a README: mean milliseconds by network, a table for each run of benchncnn.

    Examples
    --------
    >>> tables("num_threads = 4\\nvgg16  min = 1.00  max = 3.00  avg = 2.00\\nnum_threads = 1\\nvgg16  min = 4.00  max = 6.00  avg = 5.00\\n")
    [{'vgg16': '2.00'}, {'vgg16': '5.00'}]
    """
    found: list[dict[str, str]] = []
    for line in text.splitlines():
        if _START.search(line):
            found.append({})
        elif found and (match := _LINE.match(line)):
            found[-1][match[1]] = match[2]
    return found


def rows(known: Sequence[Table]) -> Iterator[dict[str, str]]:
    """Rows of `NETWORKS` of every target of `ncnn.csv`.

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
        table = next((table for table in known if all(abs(float(table.get(name, "nan")) - value) < 1e-6 for name, (value, _) in figures.items())), None)
        if table is None:
            raise ValueError(f"no table of the README has the figures of {device} {cores}")
        floating = next(dtype for _, dtype in figures.values() if dtype != "int8")
        for name, network in NETWORKS.items():
            for printed, dtype in ((name, floating), (name + INT8, "int8")):
                if printed in table:
                    source = f"{COPY}, {printed}.param, {run}"
                    yield dict(zip(COLUMNS, (network, device, "ncnn", dtype, cores, table[printed], source), strict=True))


def main(path: Path) -> None:
    """Write `ncnn_unfitted.csv` beside this file."""
    found = list(rows(tables(path.read_text(encoding="utf-8"))))
    with UNFITTED.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)
    print(len(found), "rows")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
