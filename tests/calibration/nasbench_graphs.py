"""Networks of NAS-Bench-201 with measured rows, as saved graphs: ``python -m tests.calibration.nasbench_graphs NUMBER=CELL...`` writes
``device_profiles/measurements/graphs/nasbench201_NUMBER.json``; it needs nothing but this package.

CELL is written as the benchmark writes it (arXiv 2001.00326, section 2.1), such as ``|nor_conv_3x3~0|+|none~0|skip_connect~1|+|...|``; heads have the
100 classes of CIFAR-100. Without arguments the command writes the shipped graphs anew from their names' cells in `hosted.csv`.
"""

from __future__ import annotations

import csv
import re
import sys

from costmodel.devices import profile_folder
from costmodel.graph import Graph
from costmodel.search.spaces.nas_bench_201 import EDGES, Network, used
from costmodel.zoo._architecture import Options
from costmodel.zoo._net import Net

CLASSES = 100
#: The benchmark's words for the space's.
OPERATIONS = {"none": "none", "skip_connect": "skip", "nor_conv_1x1": "conv1", "nor_conv_3x3": "conv3", "avg_pool_3x3": "pool"}
MEASUREMENTS = profile_folder() / "measurements"
_EDGE = re.compile(r"([a-z0-9_]+)~([0-9])")
_ROW = re.compile(r"NAS-Bench-201 arch ([0-9]+): (\|\S+\|)")


def network(cell: str) -> Graph:
    """The network of a cell on images of 32x32.

    Raises
    ------
    ValueError
        If the text is no cell of six operations.
    """
    found = _EDGE.findall(cell)
    starts = [int(start) for _, start in found]
    if starts != [0, 0, 1, 0, 1, 2] or any(name not in OPERATIONS for name, _ in found):
        raise ValueError(f"{cell!r} is no cell: it needs {', '.join(OPERATIONS)} on the edges 0 | 0, 1 | 0, 1, 2")
    edges = {(start, end): OPERATIONS[name] for (name, _), start, end in zip(found, starts, (1, 2, 2, 3, 3, 3), strict=True)}
    net = Net(Options(name="nas-bench-201", resolution=(32, 32), classes=CLASSES), padding="symmetric")
    return net.finish(Network(used(tuple(edges[edge] for edge in EDGES)))(net, net.image))


def cells() -> dict[int, str]:
    """Number -> cell of every row that ships."""
    with (MEASUREMENTS / "hosted.csv").open(encoding="utf-8", newline="") as stream:
        found = [_ROW.search(row["source"]) for row in csv.DictReader(stream)]
    return {int(match[1]): match[2] for match in found if match}


def main(given: dict[int, str]) -> None:
    """Write the graphs."""
    for number, cell in (given or cells()).items():
        path = MEASUREMENTS / "graphs" / f"nasbench201_{number}.json"
        network(cell).save(path)


if __name__ == "__main__":
    main({int(argument.partition("=")[0]): argument.partition("=")[2] for argument in sys.argv[1:]})
