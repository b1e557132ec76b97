"""Reading files that nobody vouches for: what is no plain file, or too large to be what it should be, is refused before it is read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from costmodel.errors import InvalidFileError

#: Ending of a file that holds a network -> what such a file is.
FORMATS = {".json": "a saved graph", ".onnx": "an ONNX model", ".pt2": "a saved torch.export program", ".tflite": "a TFLite model"}
#: As `FORMATS`, and those that are only written.
WRITTEN = {**FORMATS, ".param": "an ncnn network without weights"}
#: Endings of pickles, which may hold a network and are never opened.
PICKLES = (".pt", ".pth", ".ckpt", ".bin", ".pkl")
#: Bytes of JSON that are read at most: EfficientNet-B7 has 3 MB as a .pt2, and Python needs some 40 bytes for one in the worst case.
MAX_JSON = 24 * 2**20


def names_network_file(text: str) -> bool:
    """Whether a network is named by a file rather than by a name of the zoo or of code.

    Examples
    --------
    >>> [names_network_file(text) for text in ("net.onnx", "./net", "weights.pt", "efficientnet-b0@160", "torch:a.b:c")]
    [True, True, True, False, False]
    """
    return not text.startswith("torch:") and ("/" in text or "\\" in text or Path(text).suffix.lower() in (*FORMATS, *PICKLES))


def require_regular(path: str | os.PathLike[str], most_bytes: int | None = None) -> None:
    """Refuse what is no plain file (a folder, a pipe, a device), or holds more than `most_bytes`.

    Raises
    ------
    InvalidFileError
        If it is so, or is not there: names the path.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InvalidFileError(f"{path}: cannot be read: {reason or error}") from None
    if stat.S_ISDIR(status.st_mode):
        raise InvalidFileError(f"{path}: cannot be read: Is a directory")
    if not stat.S_ISREG(status.st_mode):
        raise InvalidFileError(f"{path}: cannot be read: is a pipe or a device, not a file")
    if most_bytes is not None and status.st_size > most_bytes:
        raise InvalidFileError(f"{path}: has {status.st_size / 2**20:.4g} MiB; at most {most_bytes >> 20} MiB are read")


def read_text(path: str | os.PathLike[str], most_bytes: int) -> str:
    """As `read_bytes`, of text in UTF-8.

    Raises
    ------
    ValueError
        If it is not UTF-8.
    """
    return read_bytes(path, most_bytes).decode("utf-8")


def read_bytes(path: str | os.PathLike[str], most_bytes: int) -> bytes:
    """What is in a plain file of at most `most_bytes`.

    Raises
    ------
    InvalidFileError
        If it is none, is too large, or cannot be read.
    """
    require_regular(path, most_bytes)
    try:
        with open(path, "rb") as file:
            data = file.read(most_bytes + 1)
    except OSError as error:
        raise InvalidFileError(f"{path}: cannot be read: {error.strerror or error}") from None
    if len(data) > most_bytes:  # it grew since
        raise InvalidFileError(f"{path}: has more than {most_bytes >> 20} MiB")
    return data
