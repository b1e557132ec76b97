"""The best candidates as files: a graph, what phones and other tools run, and a script that makes the torch module."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from costmodel import durable
from costmodel.errors import CostModelError
from costmodel.importers.files import write_file
from costmodel.search._outcome import Outcome

#: Besides the graph itself, with random weights: what extras are installed for.
_FORMATS = (".tflite", ".onnx", ".pt2")
_SCRIPT = '''"""{name} as a torch module, made by costmodel: `python network.py` runs it once; import `network` to train it.

{choices}
"""

from pathlib import Path

import costmodel
from costmodel.reference import trainable


def network(batch=1, seed=0):
    """The module in training mode, with random weights; its input is ({{batch}}, {channels}, {height}, {width})."""
    graph = costmodel.load(Path(__file__).with_name("graph.json"), batch=batch)
    return trainable(graph, seed=seed)


if __name__ == "__main__":
    import torch

    module = network().eval()
    outputs = module(torch.zeros(1, {channels}, {height}, {width}))
    print(f"{{sum(p.numel() for p in module.parameters()):,}} parameters, output {{tuple(outputs.shape)}}")
'''


class Winner(NamedTuple):
    """The folder of a winner, the names of the files in it, and what could not be written, with the reason."""

    folder: Path
    files: tuple[str, ...]
    missing: tuple[str, ...]


def export_winners(outcome: Outcome, folder: str | os.PathLike[str], number: int) -> tuple[Winner, ...]:
    """Write the `number` best candidates within the target, one folder each: ``1`` is the best.

    Raises
    ------
    OSError
        If a folder cannot be written.
    """
    return tuple(_written(outcome, int(place), Path(folder) / str(rank)) for rank, place in enumerate(outcome.best(number), start=1))


def _written(outcome: Outcome, place: int, folder: Path) -> Winner:
    folder.mkdir(parents=True, exist_ok=True)
    space, row = outcome.space, outcome.candidates[place]
    graph = space.graph(row)
    graph.save(folder / "graph.json")
    choices = "\n".join(f"{block}: {', '.join(f'{name} {value}' for name, value in fields.items())}" for block, fields in space.decode(row).items())
    height, width = space.resolution
    script = _SCRIPT.format(name=graph.name, choices=choices, channels=space.channels, height=height, width=width)
    durable.write_text(folder / "network.py", script)
    files, missing = ["graph.json", "network.py"], []
    for ending in _FORMATS:
        try:
            write_file(graph, folder / f"network{ending}")
        except CostModelError as error:  # an extra that is not installed, or an operator without a form in the format
            missing.append(f"network{ending}: {error}")
        else:
            files.append(f"network{ending}")
    return Winner(folder, tuple(files), tuple(missing))
