"""Files of every format that is read, damaged at random: a reader refuses them with a clear error, or reads them. Ends with an error otherwise.

    python -m tests.benchmarks.fuzz --rounds 20000 [--format pt2] [--seed 0] [--keep FOLDER]

A reader may raise `InvalidFileError` or `UsageError` with the file or a place in it, within `LIMIT_S` seconds and `LIMIT_BYTES` of
memory. A format joins by an entry in `FORMATS`: intact files, and the function that reads one. Damage is of two kinds: to the
bytes, and to the JSON inside if there is any (values of other types, other names, sizes and versions, parts left out,
repeated or nested). The same seed gives the same files.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import random
import resource
import signal
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from costmodel import zoo
from costmodel.errors import InvalidFileError, UsageError
from costmodel.graph import load_graph

LIMIT_S = 20
LIMIT_BYTES = 1e9


class Format(NamedTuple):
    """A format: how its files end, intact ones, where JSON is inside, and what reads one."""

    suffix: str
    intact: Callable[[], list[bytes]]
    unpack: Callable[[bytes], Any] | None
    pack: Callable[[bytes, Any], bytes] | None
    read: Callable[[Path], object]


@cache
def saved_graphs() -> list[bytes]:
    """Graphs as JSON."""
    return [json.dumps(zoo.build(name).to_dict()).encode() for name in ("lenet-5", "squeezenet-1.1@64", "mobilevit-xxs@64")]


@cache
def saved_programs() -> list[bytes]:
    """Exported programs, one with an open batch."""
    import torch

    from tests.importers.torch.test_module import Mixed, Slices
    from tests.importers.torch.transformers import GptLike

    found = []
    for module, example, dynamic in (
        (Mixed(), torch.randn(2, 3, 8, 8), {0: torch.export.Dim("batch")}),
        (Slices(), torch.randn(2, 5, 6), None),
        (GptLike(layers=1), torch.ones(2, 16, dtype=torch.int64), None),
    ):
        with torch.no_grad():
            program = torch.export.export(module.eval(), (example,), dynamic_shapes=(dynamic,) if dynamic else None, strict=False)
        stream = io.BytesIO()
        torch.export.save(program, stream)
        found.append(stream.getvalue())
    return found


def program_json(data: bytes) -> Any:
    """The JSON of a .pt2 archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return json.loads(archive.read(next(name for name in archive.namelist() if name.endswith("models/model.json"))))


def with_json(data: bytes, document: Any) -> bytes:
    """A .pt2 archive with other JSON."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as made:
        for name in archive.namelist():
            made.writestr(name, json.dumps(document) if name.endswith("models/model.json") else archive.read(name))
    return stream.getvalue()


def read_program(path: Path) -> object:
    """The graph of a .pt2 file."""
    from costmodel.importers.torch._saved import read_pt2

    return read_pt2(path)


FORMATS = {
    "json": Format(".json", saved_graphs, json.loads, lambda _, document: json.dumps(document).encode(), load_graph),
    "pt2": Format(".pt2", saved_programs, program_json, with_json, read_program),
}

#: What a value is replaced by.
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63), 10**30, 10**4200, 1e308, float("nan"), 0.5, "", "x", "\0", "é" * 50, "-1", "9" * 5000),
    *([], {}, [[]], [None], {"": None}, [0] * 1000, "Mul(" * 500, "Symbol('s', positive=True)", "Integer(-1)", "FloorDiv(Integer(1), Integer(0))"),
)


def damaged_bytes(rng: random.Random, data: bytes) -> bytes:
    """Bytes flipped, cut off, cut out, doubled or made up."""
    kind = rng.randrange(6)
    place = rng.randrange(len(data))
    if kind == 0:
        return data[:place]
    if kind == 1:
        return data[:place] + data[place + rng.randrange(1, 64) :]
    if kind == 2:
        end = place + rng.randrange(1, 256)
        return data[:end] + data[place:end] + data[end:]
    if kind == 3:
        return rng.randbytes(rng.randrange(1, 2000))
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 4, 32))):
        at = rng.randrange(len(changed))
        changed[at] = rng.randrange(256) if kind == 4 else changed[at] ^ 1 << rng.randrange(8)
    return bytes(changed)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of everything inside a JSON value."""
    waiting = [value]
    while waiting:
        container = waiting.pop()
        keys: Any = list(container) if isinstance(container, dict) else range(len(container)) if isinstance(container, list) else ()
        for key in keys:
            yield container, key
            waiting.append(container[key])


def damaged_json(rng: random.Random, document: Any) -> Any:
    """A document with a few values of another type, size or name, or left out, repeated, moved or nested."""
    every = list(places(document))
    for _ in range(rng.choice((1, 1, 2, 5))):
        container, key = rng.choice(every)
        other, elsewhere = rng.choice(every)
        try:
            kind = rng.randrange(7)
            if kind == 0:
                del container[key]
            elif kind == 1:
                container[key] = other[elsewhere]
            elif kind == 2 and isinstance(container, list):
                container.insert(rng.randrange(len(container) + 1), container[key])
            elif kind == 3 and isinstance(container[key], int):
                container[key] = rng.choice((-container[key], container[key] * 10 ** rng.randrange(12), container[key] + rng.choice((-1, 1))))
            elif kind == 4:
                for _ in range(rng.choice((3, 90))):
                    container[key] = [container[key]]
            elif kind == 5 and isinstance(container, list):
                rng.shuffle(container)
            else:
                container[key] = rng.choice(ODD)
        except (KeyError, IndexError):
            continue  # it went with an earlier one
    return document


def damaged(rng: random.Random, form: Format) -> bytes:
    """One damaged file."""
    data = rng.choice(form.intact())
    if form.unpack is None or form.pack is None or rng.random() < 0.3:
        return damaged_bytes(rng, data)
    try:
        return form.pack(data, damaged_json(rng, form.unpack(data)))
    except (RecursionError, ValueError):
        return damaged_bytes(rng, data)  # what was moved into itself cannot be written


@contextlib.contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise TimeoutError after `seconds`."""

    def ring(*_: object) -> None:
        raise TimeoutError(f"took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def verdict(form: Format, data: bytes, folder: Path) -> str:
    """ "read" or "refused"; anything else is a fault, in words."""
    path = folder / f"damaged{form.suffix}"
    path.write_bytes(data)
    try:
        with alarm(LIMIT_S):
            form.read(path)
    except (InvalidFileError, UsageError) as error:
        return "refused" if len(str(error)) > 20 else f"an error that says nothing: {error}"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return f"{type(error).__name__}: {str(error)[:200]}"
    return "read"


def fuzz(name: str, *, seed: int, rounds: int, keep: Path | None = None) -> Counter[str]:
    """How often damaged files of a format were read, refused, or what else went wrong."""
    form, found = FORMATS[name], Counter[str]()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            data = damaged(random.Random(f"{name}-{seed}-{number}"), form)
            outcome = verdict(form, data, Path(folder))
            found[outcome] += 1
            if outcome not in ("read", "refused") and keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{name}-{seed}-{number}{form.suffix}").write_bytes(data)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    if grown > LIMIT_BYTES:
        found[f"memory grew by {grown / 1e6:.0f} MB"] += 1
    return found


def main() -> None:
    """Damage files, and end with 1 if a reader did anything but read or refuse."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20_000)
    parser.add_argument("--format", choices=sorted(FORMATS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the files that went wrong")
    options = parser.parse_args()
    faults = 0
    for name in [options.format] if options.format else sorted(FORMATS):
        for outcome, count in fuzz(name, seed=options.seed, rounds=options.rounds, keep=options.keep).most_common():
            print(f"{name:6} {count:7} {outcome}")
            faults += outcome not in ("read", "refused")
    raise SystemExit(bool(faults))


if __name__ == "__main__":
    main()
