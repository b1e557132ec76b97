"""Measured rows of timm's throughput tables, in the columns of `costmodel.calibration.rows`.

``python -m tests.calibration.timm_rows ROWS.csv CACHE OUT.csv`` writes the rows whose network is in the cache of `timm_graphs`, at most `PER_FAMILY` of a
family on a target, and unpacks their graphs beside OUT.csv, which names them. With ``--zoo`` it writes those whose network the zoo builds, by its names:
equal parameters and multiply-accumulates, a name that begins alike, and no layer norm. Rows whose parameters differ by over 2 % are dropped and named.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from costmodel import zoo
from costmodel.errors import CostModelError
from costmodel.graph import Graph, graph_from_dict
from tests.calibration.timm_graphs import PARAMETERS_APART, graph_path, in_turn

#: Rows of a family on a target that take part in a fit: siblings say the same again and again.
PER_FAMILY = 20
#: Rounding of the parameters in the tables, in millions.
ROUNDING = 0.0051
#: What timm's tables were evidently measured with in half precision (its fast norms): ResNets with group norms run faster on an RTX 4090 than
#: norms in fp32, with the casts that autocast puts around them, could move their bytes.
HALF_NORMS = frozenset({"GroupNorm"})
COLUMNS = ("network", "device", "processor", "runtime", "dtype", "layout", "padding", "batch", "family", "latency_ms", "source")
_PROCESSORS = {"i9-10940x": "cpu"}


def main(rows: Path, cache: Path, out: Path, *, by_zoo: bool) -> None:
    """Write the rows."""
    graphs: dict[tuple[str, str], Graph] = {}
    names: dict[tuple[str, str], str] = {}
    with rows.open(encoding="utf-8", newline="") as stream:
        given = [row for row in csv.DictReader(stream) if not row["runtime"].endswith("-train")]
    found = []
    taken: Counter[tuple[str, ...]] = Counter()
    for row in _in_order(given):
        key = (row["model"], row["input_size"])
        target = (row["device"], row["runtime"], row["layout"], row["family"])
        if not graph_path(cache, *key).exists() or (not by_zoo and taken[target] >= PER_FAMILY):
            continue
        if key not in graphs:
            graphs[key] = read(graph_path(cache, *key))
            names[key] = zoo_name(*key, graphs[key]) if by_zoo else unpacked(graphs[key], out.parent, key)
        if not same_parameters(graphs[key], row):
            print(f"dropped {row['model']} on {row['device']}: {graphs[key].parameters / 1e6:.2f} M parameters, {row['parameters_million']} M there")
            continue
        if names[key]:
            taken[target] += 1
            found.append(entry(row, names[key], by_zoo=by_zoo))
    with out.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(found, key=lambda made: tuple(made[name] for name in ("device", "runtime", "layout", "network"))))
    print(f"{len(found)} of {len(given)} rows")


def _in_order(rows: list[dict[str, str]]) -> Iterator[dict[str, str]]:
    """Rows in the order in which `in_turn` names their networks."""
    order = {key: number for number, key in enumerate(in_turn(rows))}
    return iter(sorted(rows, key=lambda row: order[row["model"], row["input_size"]]))


def read(path: Path) -> Graph:
    """The graph of a cached file."""
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        return graph_from_dict(json.load(stream), path)


def same_parameters(graph: Graph, row: Mapping[str, str]) -> bool:
    """Whether the row was measured on this network, by its parameters."""
    stated = float(row["parameters_million"])
    return abs(graph.parameters / 1e6 - stated) <= max(PARAMETERS_APART * stated, ROUNDING)


def unpacked(graph: Graph, folder: Path, key: tuple[str, str]) -> str:
    """The name of a graph's file in `folder`, which is written anew; its normalisations in half precision."""
    name = f"{key[0]}@{key[1]}.json"
    document = graph.to_dict()
    for node in document["nodes"]:
        if node["operator"] in HALF_NORMS:
            node["fields"]["half"] = True
    (folder / name).write_text(json.dumps(document) + "\n", encoding="utf-8")
    return name


def entry(row: Mapping[str, str], network: str, *, by_zoo: bool) -> dict[str, str]:
    """A row in our columns."""
    made = {name: row.get(name, "") for name in COLUMNS}
    source = row["source"].replace("github huggingface/pytorch-image-models results/", "huggingface/pytorch-image-models results/")
    padding = "symmetric" if by_zoo and not row["model"].startswith("tf_") else ""
    processor = _PROCESSORS.get(row["device"], "gpu")
    return {**made, "network": network, "processor": processor, "padding": padding, "latency_ms": row["step_ms"], "source": f"{source}: {row['model']}"}


def zoo_name(model: str, size: str, graph: Graph) -> str:
    """The name of the zoo's network that equals a graph; empty where there is none."""
    padding = "same" if model.startswith("tf_") else "symmetric"
    if any(type(node.operator).__name__ in HALF_NORMS for node in graph.nodes):
        return ""  # measured with norms in half precision, which the zoo's have not
    for name in zoo.architectures():
        if _plain(name)[:5] != _plain(model.removeprefix("tf_"))[:5]:
            continue
        try:
            built = zoo.build(f"{name}@{size}", padding=padding)
        except CostModelError:
            continue
        if built.parameters == graph.parameters and built.macs == graph.macs:
            return f"{name}@{size}"
    return ""


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower().removeprefix("legacy_").removeprefix("wide_"))


if __name__ == "__main__":
    options = [argument for argument in sys.argv[1:] if argument != "--zoo"]
    main(*map(Path, options), by_zoo="--zoo" in sys.argv)
