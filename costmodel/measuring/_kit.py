"""Kits: exported networks that pin a device's constants down, and scripts that run them there."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from costmodel import durable, zoo
from costmodel._version import __version__
from costmodel.calibration.rows import LARGEST_BATCH
from costmodel.calibration.suggest import CANDIDATES
from costmodel.calibration.suggest import suggest as _suggest
from costmodel.devices import Device, Target, device, resolve_target
from costmodel.durable import write_text
from costmodel.errors import CostModelError, UsageError, whole
from costmodel.graph import Graph
from costmodel.importers.files import write_file
from costmodel.measuring._forms import WAYS, Form, Way, form

MANIFEST = "kit.json"
#: What is in a kit until all else is.
_UNFINISHED = ".unfinished"
_TEMPLATES = Path(__file__).parent / "templates"
#: How many networks a kit has where nothing else is asked for: twice the three that `reports/accuracy.md` is about.
COUNT = 6
_RUN_HERE = '''"""Runs this kit on this machine: python run_here.py DEVICE [--help]"""

from pathlib import Path

from costmodel.measuring.here import main

if __name__ == "__main__":
    raise SystemExit(main(Path(__file__).parent))
'''


@dataclass(frozen=True, slots=True, kw_only=True)
class KitNetwork:
    """A network of a kit: its name, its file in ``models``, and the shape of its input, (N, C, H, W)."""

    network: str
    file: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """A folder of networks and scripts. `chosen_by` names the target whose constants chose the networks; empty where they were named."""

    folder: str
    runtime: str
    dtype: str
    batch: int
    networks: tuple[KitNetwork, ...]
    chosen_by: str = ""
    left_out: tuple[str, ...] = ()


def kit(
    runtime: str,
    folder: str | os.PathLike[str],
    *,
    like: str | os.PathLike[str] | None = None,
    networks: Sequence[str] = (),
    count: int | None = None,
    dtype: str = "fp32",
    batch: int | None = None,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Kit:
    """Write a kit: networks as files, chosen for what their times say about a device, with scripts that run them over adb or ssh.

    Parameters
    ----------
    runtime : ``tflite``, ``ncnn``, ``onnxruntime`` or ``trtexec``: what the device runs them with.
    folder : to write to; it must be new or empty, or hold what a kit left that was killed.
    like : the profile of a relative of the device, whose constants and their priors choose; None is one of the runtime's class.
    networks : names of the zoo to take instead of choosing, each once.
    count : how many to choose.
    dtype : precision of the networks; ``int8`` for TFLite, which writes it into the files.
    batch : samples a pass; None is 1, for trtexec 32.
    seed : of the random weights.
    progress : told each network that is written.

    Raises
    ------
    UsageError
        If the runtime has no such precision, there is no such batch, the folder holds something, networks are both named and to be chosen, a package
        is missing, or a named network has no form in the runtime's files.
    """
    chosen = form(runtime)
    if dtype not in chosen.dtypes:
        raise UsageError(f"a kit for {runtime} is written in {' or '.join(chosen.dtypes)}, not {dtype}")
    if networks and count is not None:
        raise UsageError("networks are named or counted, not both: leave out --networks or -n")
    if networks and like is not None:
        raise UsageError("networks are named, or chosen by a relative's constants: leave out --networks or --like")
    place = Path(folder)
    samples = whole("batch", chosen.batch if batch is None else batch, 1, LARGEST_BATCH)
    target = None if networks else _relative(device(os.fspath(chosen.like if like is None else like)), chosen, dtype)
    with _emptied(place):
        (place / "models").mkdir()
        writer = _Writer(chosen, place / "models", dtype, samples, seed, progress or (lambda text: None))
        named = tuple(writer.write(name) for name in dict.fromkeys(networks))
        written = named if target is None else _written(writer, target, COUNT if count is None else count, samples)
        by = "" if target is None else " ".join((target.device.name, target.processor, target.runtime, target.dtype))
        made = Kit(folder=str(place), runtime=runtime, dtype=dtype, batch=samples, networks=written, chosen_by=by, left_out=tuple(writer.left_out))
        _write_scripts(made, chosen, place)
    return made


@contextlib.contextmanager
def _emptied(place: Path) -> Iterator[None]:
    """A folder to write in, new or empty but for what a kit left that was killed; as it was before where writing fails."""
    existed, mark = place.exists(), place / _UNFINISHED
    if existed and (not place.is_dir() or (any(place.iterdir()) and not mark.is_file())):
        raise UsageError(f"{place}: is there already and not empty; name a new folder")
    place.mkdir(parents=True, exist_ok=True)
    with mark.open("ab") as file:
        if not durable.lock(file):
            raise UsageError(f"{place}: another kit is being written there; wait for it, or name another folder")
        try:
            _clear(place)
            yield
        except BaseException:
            _clear(place)
            mark.unlink()
            if not existed:
                place.rmdir()
            raise
        mark.unlink()


def _clear(place: Path) -> None:
    """Remove all of a kit but its mark."""
    for path in place.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != _UNFINISHED:
            path.unlink()


def _relative(found: Device, chosen: Form, dtype: str) -> Target:
    """The target of a relative that is nearest to a runtime: its own software stack, or the first of those that stand in."""
    for processor in found.profile.processors:
        for name in chosen.runtimes:
            for precision in (dtype, None):
                try:
                    return resolve_target(found, processor=processor, runtime=name, dtype=precision)
                except CostModelError:
                    continue
    raise UsageError(f"{found.name} runs none of {', '.join(chosen.runtimes)}, whose constants choose the networks: name another profile with --like")


class _Writer:
    """Writes networks in a form's format, and remembers those that have none."""

    def __init__(self, chosen: Form, models: Path, dtype: str, batch: int, seed: int, told: Callable[[str], None]) -> None:
        self.form, self.models, self.dtype, self.batch, self.seed, self.told = chosen, models, dtype, batch, seed, told
        self.left_out: list[str] = []
        self.done: dict[str, KitNetwork] = {}

    def write(self, name: str) -> KitNetwork:
        """A network as a file; once."""
        if name not in self.done:
            graph = zoo.build(name, batch=self.batch)
            file = f"{name}{self.form.ending}"
            self.told(file)
            dtype = self.dtype if self.form.ending == ".tflite" else None
            write_file(graph, self.models / file, dtype=dtype, seed=self.seed)
            if self.form.ending == ".onnx":
                _fix_batch(self.models / file, self.batch)
            self.done[name] = KitNetwork(network=name, file=file, shape=_shape(graph))
        return self.done[name]

    def drop(self, names: Sequence[str]) -> None:
        """Remove the files of networks that are not taken after all."""
        for name in names:
            (self.models / self.done.pop(name).file).unlink()


def _fix_batch(path: Path, batch: int) -> None:
    """Give an ONNX file that leaves its batch open this one: tools would take 1."""
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    opened = [value.type.tensor_type.shape.dim[0] for value in model.graph.input if value.type.tensor_type.shape.dim[0].dim_param]
    for size in opened:
        size.dim_value = batch
    if opened:
        path.write_bytes(model.SerializeToString())


def _shape(graph: Graph) -> tuple[int, ...]:
    shapes = [spec.shape for spec in graph.inputs.values()]
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise UsageError(f"{graph.name}: a kit takes networks of one image")
    return tuple(shapes[0])


def _written(writer: _Writer, target: Target, count: int, batch: int) -> tuple[KitNetwork, ...]:
    """Chosen networks as files; one that has no form in the runtime's files is left out, and the choice made anew."""
    names = list(CANDIDATES)
    while True:
        (found,) = _suggest((), target, count, names, batch)
        for name in found.networks:
            try:
                writer.write(name)
            except UsageError as error:
                if "pip install" in str(error):
                    raise
                names.remove(name)
                writer.left_out.append(f"{name}: {error}")
                break
        else:
            writer.drop([name for name in writer.done if name not in found.networks])
            return tuple(writer.done[name] for name in found.networks)


def _write_scripts(made: Kit, chosen: Form, place: Path) -> None:
    """The scripts, the list of networks, the README and the manifest."""
    lines = [f"{entry.file} {entry.network} {_spelled(entry, chosen)}" for entry in made.networks]
    write_text(place / "models.txt", "\n".join(lines) + "\n")
    for way in WAYS:
        path = place / f"run_{way.name}.sh"
        write_text(path, script(chosen, way, dtype=made.dtype, batch=made.batch))
        path.chmod(0o755)
    if chosen.name == "tflite":
        write_text(place / "run_here.py", _RUN_HERE)
    write_text(place / "README.md", _readme(made, chosen))
    document = {**asdict(made), "folder": None, "costmodel_kit": 1, "costmodel_version": __version__}
    write_text(place / MANIFEST, json.dumps({key: value for key, value in document.items() if value is not None}, indent=1) + "\n")


def _spelled(entry: KitNetwork, chosen: Form) -> str:
    """The shape of a network's input as the runtime's tool takes it."""
    return chosen.shape.format(**dict(zip("nchw", entry.shape, strict=True)))


def script(chosen: Form, way: Way, *, dtype: str, batch: int) -> str:
    """The POSIX shell script that runs a kit over adb or ssh."""
    text = (_TEMPLATES / "run.sh").read_text(encoding="utf-8")
    command = chosen.command.replace('"', '\\"')
    values = {
        "OVER": way.name,
        "USAGE": way.usage,
        "ARGUMENTS": way.arguments,
        "TRANSPORT": way.transport,
        "COMMAND": command,
        "SETS": "sets=${CORES:-$(clusters)}" if chosen.on_cores else "sets=all:0",
        "STATED": " cores=$cores" if chosen.on_cores else "",
        "DTYPE": dtype,
        "BATCH": str(batch),
        "FOLDER": way.folder,
        "FLAGS": "" if dtype == "fp32" else f"--{dtype}",
        "TOOL": chosen.tool,
    }
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text.replace("@TOOL@", chosen.tool)


def _readme(made: Kit, chosen: Form) -> str:
    """What the kit is and how it is used."""
    text = (_TEMPLATES / "README.md").read_text(encoding="utf-8")
    listed = "\n".join(f"| {entry.network} | {' x '.join(map(str, entry.shape))} |" for entry in made.networks)
    why = (
        f"They are those of {len(CANDIDATES)} candidates after whose measurement intervals would be narrowest, by the constants of {made.chosen_by}."
        if made.chosen_by
        else "They were named."
    )
    here = "On this machine, with LiteRT: `python run_here.py DEVICE`.\n" if chosen.name == "tflite" else ""
    values = {"RUNTIME": made.runtime, "DTYPE": made.dtype, "BATCH": str(made.batch), "NETWORKS": listed, "WHY": why, "TOOL": chosen.tool}
    values |= {"ORIGIN": chosen.origin, "HERE": here, "LIKE": made.chosen_by.partition(" ")[0] or chosen.like}
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text
