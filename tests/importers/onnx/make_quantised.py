"""Writes the committed quantised files anew: ``python -m tests.importers.onnx.make_quantised`` (needs onnxruntime as well)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process

from tests.importers.onnx.make_files import FOLDER, without_weights
from tests.importers.onnx.networks import example, export, network


class Examples(quantization.CalibrationDataReader):  # type: ignore[misc]
    """Two inputs to find the ranges of activations by."""

    def __init__(self, name: str) -> None:
        self.left: Iterator[dict[str, Any]] = iter([{name: example("images").numpy()}] * 2)

    def get_next(self) -> dict[str, Any] | None:
        return next(self.left, None)


def main() -> None:
    """Write the network of images as onnxruntime quantises it, with changes of type between operators and with its own operators."""
    with tempfile.TemporaryDirectory() as folder:
        plain, prepared = Path(folder) / "plain.onnx", Path(folder) / "prepared.onnx"
        export(network("images"), example("images"), plain, "legacy", opset=17, whole=False)
        quant_pre_process(str(plain), str(prepared))
        for form, name in ((quantization.QuantFormat.QDQ, "images-int8-qdq"), (quantization.QuantFormat.QOperator, "images-int8-operators")):
            path = FOLDER / f"{name}.onnx"
            quantization.quantize_static(str(prepared), str(path), Examples("input.1"), quant_format=form, per_channel=True)
            path.write_bytes(without_weights(path))
            print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main()
