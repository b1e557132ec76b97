"""The networks of timm's throughput tables as saved graphs, one compressed file a network and image size, in a cache outside the repository.

``python -m tests.calibration.timm_graphs ROWS.csv CACHE`` imports what the cache lacks; it needs torch and what ``tests/peers.py`` names.
ROWS.csv has the columns ``model``, ``family``, ``input_size`` and ``parameters_million``. Networks come family by family in turn, those that most rows
speak of first, so that a part of the cache already holds every family. Interrupt it and run it again: nothing is lost.
"""

from __future__ import annotations

import csv
import gzip
import json
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

#: Share by which parameters may differ from the row's: beyond, it was measured re-parameterised or of another release.
PARAMETERS_APART = 0.02


def main(rows: Path, cache: Path) -> None:
    """Import what is missing, and say which network failed why."""
    import torch

    warnings.filterwarnings("ignore")  # of the other libraries
    torch.set_num_threads(1)
    cache.mkdir(parents=True, exist_ok=True)
    with rows.open(encoding="utf-8", newline="") as stream:
        wanted = list(in_turn(list(csv.DictReader(stream))))
    failed = 0
    for number, (model, size) in enumerate(wanted, 1):
        path = graph_path(cache, model, size)
        if path.exists() or path.with_suffix(".failed").exists():
            continue
        try:
            write(path, model, size)
        except Exception as error:
            failed += 1
            path.with_suffix(".failed").write_text(f"{type(error).__name__}: {error}"[:500] + "\n", encoding="utf-8")
            print(f"{model}@{size}: {type(error).__name__}: {str(error)[:200]}", flush=True)
        if number % 50 == 0:
            print(f"{number} of {len(wanted)}", flush=True)
    print(f"{len(wanted)} networks, {failed} failed now")


def graph_path(cache: Path, model: str, size: str) -> Path:
    """Where the graph of a model at an image size stands."""
    return cache / f"{model}@{size}.json.gz"


def in_turn(rows: Sequence[Mapping[str, str]]) -> Iterator[tuple[str, str]]:
    """(model, size) of the rows, a family after the other, those of most rows first."""
    counts = Counter((row["family"], row["model"], row["input_size"]) for row in rows if not row["runtime"].endswith("-train"))
    families: dict[str, list[tuple[str, str]]] = {}
    for (family, model, size), _ in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])):
        families.setdefault(family, []).append((model, size))
    spread = [_spread(members) for members in families.values()]
    for turn in zip_longest(*spread):
        yield from (member for member in turn if member is not None)


def _spread(members: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Members in an order of which every beginning is spread over the whole list: strides by the golden ratio."""
    return [member for _, member in sorted(enumerate(members), key=lambda entry: (entry[0] * 0.6180339887) % 1)]


def write(path: Path, model: str, size: str) -> None:
    """Import one network and write its graph."""
    from costmodel.importers.torch import import_module
    from tests.peers import peer

    shape = (1, 3, int(size), int(size))
    try:
        graph = import_module(peer(f"timm:{model}", device="meta"), [shape], name=model).graph
    except Exception:
        graph = import_module(peer(f"timm:{model}", device="meta", img_size=int(size)), [shape], name=model).graph
    part = path.with_suffix(".part")
    with gzip.open(part, "wt", encoding="utf-8", compresslevel=6) as stream:
        json.dump(graph.to_dict(), stream)
    part.replace(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
