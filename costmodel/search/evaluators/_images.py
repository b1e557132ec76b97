"""Small real data sets: scikit-learn's digits, and folders of images, split once and for all into training, validation and test.

A search trains on the first part and scores on the second; the third is for whoever compares winners afterwards.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from costmodel.errors import InvalidFileError, UsageError, whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Shares of each class that go into training and validation, unless told otherwise; the rest is for the test.
SHARES = (0.6, 0.2)
#: The split is part of the data set, so it has one seed.
_SPLIT_SEED = 0
_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".webp")
#: The fewest images of a class of which each part gets one.
_FEWEST = 5


class Part(NamedTuple):
    """Images (number, channels, height, width) in float32, standardised; labels (number,) from 0."""

    images: NDArray[np.float32]
    labels: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """A data set; `name` says which, with a hash of its contents."""

    name: str
    classes: tuple[str, ...]
    training: Part
    validation: Part
    test: Part

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        _, channels, height, width = self.training.images.shape
        return channels, height, width


def images(source: str, *, resolution: int = 0, shares: tuple[float, float] = SHARES) -> Images:
    """The data set called ``digits``, or that of a folder with a folder of images for each class; squares of `resolution` pixels (0: digits as they are, 32).

    Parameters
    ----------
    shares : of each class for training and for validation, together less than 1.

    Raises
    ------
    UsageError
        If the shares leave nothing for one of the three parts, there is no such folder, or scikit-learn is not installed: says how to get it.
    InvalidFileError
        If the folder has fewer than two classes, a class fewer than five images, or a file that is no image: names it.
    """
    side = whole("resolution", resolution, 0, 4096)
    if not (min(shares) > 0 and sum(shares) < 1):
        raise UsageError(f"the shares for training and validation must be positive and less than 1 together, not {shares[0]} and {shares[1]}")
    if source == "digits":
        return _digits(side, shares)
    if not Path(source).is_dir():
        raise UsageError(f"{source}: there is no such folder of images; the data are digits, or a folder with a folder of images for each class")
    return _folder(source, side or 32, shares)


def _digits(side: int, shares: tuple[float, float]) -> Images:
    """1,797 digits of 8 x 8 pixels (Alpaydin and Kaynak, 1998, UCI Machine Learning Repository), as scikit-learn ships them."""
    if find_spec("sklearn") is None:
        raise UsageError("the digits are scikit-learn's, which is not installed: pip install 'costmodel[search]'")
    from sklearn.datasets import load_digits

    found = load_digits()
    pixels = found.images[:, None].astype(np.float32)
    return _split("digits", tuple(map(str, found.target_names)), _resized(pixels, side or 8), found.target.astype(np.int64), shares)


def _folder(source: str, side: int, shares: tuple[float, float]) -> Images:
    folders = sorted(path for path in Path(source).iterdir() if path.is_dir() and not path.name.startswith("."))
    if len(folders) < 2:
        raise InvalidFileError(f"{source}: has {len(folders)} folders: it needs one for each class, at least two")
    pixels, labels = [], []
    for label, folder in enumerate(folders):
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in _ENDINGS)
        if len(files) < _FEWEST:
            raise InvalidFileError(f"{folder}: has {len(files)} images ({', '.join(_ENDINGS)}): a class needs at least {_FEWEST}")
        pixels += [_read(path, side) for path in files]
        labels += [label] * len(files)
    return _split(os.path.basename(os.path.abspath(source)), tuple(path.name for path in folders), np.stack(pixels), np.array(labels, np.int64), shares)


def _read(path: Path, side: int) -> NDArray[np.float32]:
    """(3, side, side), from 0 to 255."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            resized = image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
            return np.asarray(resized, np.float32).transpose(2, 0, 1)
    except (OSError, UnidentifiedImageError, ValueError) as error:
        raise InvalidFileError(f"{path}: cannot be read as an image: {error}; take it out of the folder") from None


def _resized(pixels: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Images at another size, bilinear."""
    if pixels.shape[-2:] == (side, side):
        return pixels
    from PIL import Image

    made = [[np.asarray(Image.fromarray(plane).resize((side, side), Image.Resampling.BILINEAR)) for plane in image] for image in pixels]
    return np.array(made, np.float32)


def _split(name: str, classes: tuple[str, ...], pixels: NDArray[np.float32], labels: NDArray[np.int64], shares: tuple[float, float]) -> Images:
    """Three parts with the same shares of each class; pixels standardised by the training part."""
    digest = hashlib.sha256(np.ascontiguousarray(pixels).tobytes() + labels.tobytes()).hexdigest()[:12]
    rng = np.random.default_rng(_SPLIT_SEED)
    parts: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
    for label in range(len(classes)):
        own = rng.permutation(np.flatnonzero(labels == label))
        first = min(max(1, round(shares[0] * len(own))), len(own) - 2)
        second = min(first + max(1, round(shares[1] * len(own))), len(own) - 1)
        for part, rows in zip(parts, (own[:first], own[first:second], own[second:]), strict=True):
            part.extend(rows)
    chosen = [rng.permutation(np.array(part)) for part in parts]
    mean, deviation = float(pixels[chosen[0]].mean()), float(pixels[chosen[0]].std()) or 1.0
    scaled = ((pixels - mean) / deviation).astype(np.float32)
    training, validation, test = (Part(scaled[rows], labels[rows]) for rows in chosen)
    return Images(name=f"{name} {digest} {shares[0]:g}/{shares[1]:g}", classes=classes, training=training, validation=validation, test=test)
