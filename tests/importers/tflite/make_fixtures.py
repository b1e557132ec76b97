"""Writes the fixtures beside this file: `python -m tests.importers.tflite.make_fixtures`. Random weights, the same every time."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from costmodel.importers.tflite import write_tflite
from tests.importers.tflite.networks import NETWORKS

FOLDER = Path(__file__).parent / "fixtures"

README = """# TFLite fixtures

Written by `python -m tests.importers.tflite.make_fixtures` with tflite {tflite}, flatbuffers {flatbuffers}, torch {torch}: the
networks of `tests/importers/tflite/networks.py` with random weights (seed 0), in float32 and in full-integer int8, and
`*_foreign.tflite` without the metadata by which costmodel recognises its own files. They hold no weights of anybody's
network. No file of another converter is among them.
"""


def fixtures(folder: Path) -> Iterator[Path]:
    """Write every fixture to `folder`."""
    for name, network in NETWORKS.items():
        for ending, options in (("fp32", {}), ("int8", {"dtype": "int8"}), ("foreign", {"metadata": False})):
            path = folder / f"{name}_{ending}.tflite"
            write_tflite(network(), path, **options)  # type: ignore[arg-type]  # a table of options
            yield path


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for path in fixtures(FOLDER):
        sys.stdout.write(f"{path.name} {path.stat().st_size}\n")
    versions = {name: version(name) for name in ("tflite", "flatbuffers", "torch")}
    (FOLDER / "README.md").write_text(README.format(**versions), encoding="utf-8")


if __name__ == "__main__":
    main()
