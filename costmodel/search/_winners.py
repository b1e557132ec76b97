"""The best candidates as files: a graph, what phones and other tools run, and a script that makes the torch module.

All are written into a new folder, which takes the place of an earlier search's; one that has files of other hands is kept under another name.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import warnings
from itertools import count
from pathlib import Path
from typing import NamedTuple

from costmodel import durable
from costmodel.errors import CostModelError, WriteError
from costmodel.importers.files import write_file
from costmodel.search._folder import SearchWarning
from costmodel.search._outcome import Outcome

#: Besides the graph itself, with random weights: what extras are installed for.
_FORMATS = (".tflite", ".onnx", ".pt2")
#: What was written, by which a later search tells whether anybody else has.
_MANIFEST = "manifest.json"
_SCRIPT = '''"""A winner of a search as a torch module, made by costmodel: `python network.py` runs it once; import `network` to train it."""

from pathlib import Path

import costmodel
from costmodel.reference import trainable

NAME = {name!r}
CHOICES = {{
{choices}}}


def network(batch=1, seed=0):
    """The module in training mode, with random weights; its input is (batch, {channels}, {height}, {width})."""
    graph = costmodel.load(Path(__file__).with_name("graph.json"), batch=batch)
    return trainable(graph, seed=seed)


if __name__ == "__main__":
    import torch

    module = network().eval()
    outputs = module(torch.zeros(1, {channels}, {height}, {width}))
    print(f"{{sum(p.numel() for p in module.parameters()):,}} parameters, output {{tuple(outputs.shape)}}")
'''


class Winner(NamedTuple):
    """The folder of a winner, the names of the files in it, what has no form there or lacks a package, and what was lost to a full disk, with the reasons."""

    folder: Path
    files: tuple[str, ...]
    missing: tuple[str, ...]
    lost: tuple[str, ...] = ()


def export_winners(outcome: Outcome, folder: str | os.PathLike[str], number: int, *, batch: int = 1) -> tuple[Winner, ...]:
    """Write the `number` best candidates within the target, one folder each: ``1`` is the best. They replace all that an earlier search wrote there.

    Parameters
    ----------
    batch : samples a pass of the files; .onnx and .pt2 take any number.

    Raises
    ------
    CostModelError
        If the folder cannot be written: what stood there is as it was.

    Warns
    -----
    SearchWarning
        If files in the folder are not as an earlier search wrote them: says where they are now.
    """
    place = Path(os.path.abspath(folder))
    new = place.with_name(f".{place.name}.new")
    try:
        shutil.rmtree(new, ignore_errors=True)  # of a search that was killed
        new.mkdir(parents=True)
        found = tuple(_written(outcome, int(best), new / str(rank), place / str(rank), batch) for rank, best in enumerate(outcome.best(number), start=1))
        durable.write_text(new / _MANIFEST, json.dumps(_hashes(new), indent=1) + "\n")
        _exchange(place, new if found else None)
    except OSError as error:
        raise CostModelError(f"{place}: the winners cannot be written: {error.strerror or error}; choose another place, or make room there") from None
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return found


def _exchange(place: Path, new: Path | None) -> None:
    """Put `new` in the place of an earlier search's winners, which go last of all; those that are not as it left them are kept under another name.

    Where `new` cannot be put there, what stood there does again.
    """
    gone, kept = place.with_name(f".{place.name}.gone"), None
    if os.path.lexists(place):
        if _as_written(place):
            shutil.rmtree(gone, ignore_errors=True)  # of a search that was killed
            aside = gone
        else:
            names = (place.with_name(f"{place.name}.old{'' if number == 1 else f'-{number}'}") for number in count(1))
            aside = kept = next(name for name in names if not os.path.lexists(name))
        place.rename(aside)
        try:
            if new is not None:
                new.rename(place)
        except BaseException:
            aside.rename(place)
            raise
    elif new is not None:
        new.rename(place)
    shutil.rmtree(gone, ignore_errors=True)
    if kept is not None:
        warnings.warn(f"{place}: has files that no search wrote so; they are kept in {kept}", SearchWarning, stacklevel=3)


def _as_written(folder: Path) -> bool:
    """Whether a folder has nothing but what a search wrote."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    try:
        known = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        return isinstance(known, dict) and _hashes(folder).items() <= known.items()
    except FileNotFoundError:
        return not any(folder.iterdir())
    except (OSError, ValueError):
        return False


def _hashes(folder: Path) -> dict[str, str]:
    """Every file with its hash; Python's own of what was imported, and the list of the hashes, aside."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_symlink() or not path.is_dir()]
    own = [path for path in paths if path.parent.name != "__pycache__" and path != folder / _MANIFEST]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "none" for path in own}


def _written(outcome: Outcome, place: int, folder: Path, shown: Path, batch: int) -> Winner:
    """The files of a winner, in a folder that will be called `shown`."""
    folder.mkdir()
    space, row = outcome.space, outcome.candidates[place]
    graph = space.graph(row, batch=batch)
    try:
        graph.save(folder / "graph.json")
    except CostModelError as error:
        raise CostModelError(str(error).replace(str(folder), str(shown))) from None
    words = {block: ", ".join(f"{name} {value}" for name, value in fields.items()) for block, fields in space.decode(row).items()}
    choices = "".join(f"    {block!r}: {text!r},\n" for block, text in words.items())
    height, width = space.resolution
    script = _SCRIPT.format(name=graph.name, choices=choices, channels=space.channels, height=height, width=width)
    durable.write_text(folder / "network.py", script)
    files = ["graph.json", "network.py"]
    missing: list[str] = []
    lost: list[str] = []
    for ending in _FORMATS:
        try:
            write_file(graph, folder / f"network{ending}")
        except CostModelError as error:  # an extra that is not installed, an operator without a form in the format, or a full disk
            kind = lost if isinstance(error, WriteError) else missing
            kind.append(f"network{ending}: {error}".replace(str(folder), str(shown)))
        else:
            files.append(f"network{ending}")
    return Winner(shown, tuple(files), tuple(missing), tuple(lost))
