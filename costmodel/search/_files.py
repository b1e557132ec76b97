"""Tables as files: one ``.npz`` of plain arrays with a header of JSON, named for space, target and the hashes of both."""

from __future__ import annotations

import io
import json
import math
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from costmodel import durable
from costmodel._version import __version__
from costmodel.devices import Target
from costmodel.errors import InvalidFileError, UsageError
from costmodel.search._rows import FIELDS, Rows
from costmodel.search._space import Space

#: What zipfile, zlib, numpy and json raise of damaged bytes: a RuntimeError says that a flag asks for a password or an unknown compression,
#: a MemoryError that a length is absurd.
_DAMAGED = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    IndexError,
    OverflowError,
    RuntimeError,
    MemoryError,
    AttributeError,
    SyntaxError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)

FORMAT = "costmodel-latency-table"
VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a file holds: rows of every block, seconds of program terms, kinds without a cost, layers priced."""

    rows: tuple[Rows, ...]
    terms_s: float
    unmodelled: tuple[str, ...]
    priced: int


def identity(space: Space, target: Target, batch: int) -> dict[str, Any]:
    """Everything that the figures of a table depend on."""
    host = None if target.host is None else [target.host.processor, target.host.runtime, target.host.dtype]
    return {
        "format": FORMAT,
        "version": VERSION,
        "costmodel": __version__,
        "space": space.name,
        "space_fingerprint": space.fingerprint,
        "device": target.device.name,
        "profile_sha256": target.device.sha256,
        "processor": target.processor,
        "runtime": target.runtime,
        "dtype": target.dtype,
        "cores": target.cores_text,
        "layout": target.layout,
        "host": host,
        "batch": batch,
    }


def file_name(space: Space, target: Target, batch: int) -> str:
    """The name of the file of a table."""
    cores = (target.cores_text or "all").replace("=", "").replace(",", "-")
    words = (
        space.name,
        space.fingerprint[:8],
        target.device.name,
        target.device.sha256[:8],
        target.processor,
        target.runtime,
        target.dtype,
        cores,
        target.layout,
    )
    return "_".join((*words, f"b{batch}")) + ".npz"


def write(folder: str | os.PathLike[str], space: Space, target: Target, batch: int, contents: Contents) -> Path:
    """Write a table; the path."""
    path = Path(folder) / file_name(space, target, batch)
    rest = {"terms_s": contents.terms_s, "unmodelled": list(contents.unmodelled), "priced": contents.priced}
    header = json.dumps({**identity(space, target, batch), **rest})
    arrays: dict[str, Any] = {"header": np.frombuffer(header.encode(), np.uint8)}
    for number, rows in enumerate(contents.rows):
        arrays[f"{number}.after"] = rows.after
        arrays |= {f"{number}.{name}": costs for name, costs in rows.costs.items()}
    data = io.BytesIO()
    np.savez_compressed(data, **arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    durable.write_bytes(path, data.getvalue())
    return path


def read(folder: str | os.PathLike[str], space: Space, target: Target, batch: int) -> Contents:
    """The table of just these."""
    path = Path(folder) / file_name(space, target, batch)
    if not path.is_file():
        raise UsageError(f"{path}: there is no such table; LatencyTable(space, target).save({str(folder)!r}) makes it")
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            header = json.loads(file["header"].tobytes())
            _require_same(path, header, identity(space, target, batch))
            rows = tuple(_rows(file, number, block_options) for number, block_options in enumerate(space.choices))
            _require_chain(rows)
            unmodelled = tuple(map(str, header["unmodelled"]))
            terms_s = float(header["terms_s"])
            if not 0 <= terms_s < math.inf:
                raise ValueError(f"its program terms are {terms_s} s")
            return Contents(rows=rows, terms_s=terms_s, unmodelled=unmodelled, priced=int(header["priced"]))
    except InvalidFileError:
        raise
    except _DAMAGED as error:
        raise InvalidFileError(f"{path}: is no whole table: {error}; delete it and save the table again") from None


def _require_same(path: Path, header: Any, wanted: dict[str, Any]) -> None:
    for name, value in wanted.items():
        if header.get(name) != value:
            raise InvalidFileError(f"{path}: was made for {name} {header.get(name)!r}, not {value!r}; save the table again")


def _require_chain(rows: Sequence[Rows]) -> None:
    """Refuse tables in which some choice leads to a row that is not there."""
    if len(rows[0].after) != 1:
        raise ValueError(f"array 0.after has {len(rows[0].after)} rows, and one image comes in")
    for number, (block, following) in enumerate(zip(rows, [len(each.after) for each in rows[1:]] + [1], strict=True)):
        if int(block.after.max()) >= following:
            raise ValueError(f"array {number}.after leads to row {block.after.max()}, and there are {following}")


def _rows(file: Any, number: int, options: int) -> Rows:
    after = file[f"{number}.after"]
    costs = {name: file[f"{number}.{name}"] for name in FIELDS}
    for name, array in (("after", after), *costs.items()):
        kind = FIELDS.get(name, np.int64)
        if array.shape != (len(after), options) or array.dtype != kind or not np.isfinite(array).all():
            raise ValueError(f"array {number}.{name} is {array.dtype} {array.shape}, not finite {np.dtype(kind)} of {options} options")
        if (array < 0).any():
            raise ValueError(f"array {number}.{name} has {array.min()}, which is below 0")
    return Rows(after=after, costs=costs)
