"""Quantised files count as the float networks that they were, in int8."""

from __future__ import annotations

from collections import Counter

import pytest

pytest.importorskip("onnx", reason="needs the extra `onnx`")

import costmodel
from costmodel.importers.onnx import read_onnx
from tests.importers.onnx.make_files import FOLDER

FLOAT = FOLDER / "images-legacy-17-folded.onnx"


@pytest.mark.parametrize("form", ["qdq", "operators"])
def test_a_quantised_file_is_the_float_network_in_int8(form: str) -> None:
    plain, quantised = read_onnx(FLOAT), read_onnx(FOLDER / f"images-int8-{form}.onnx")
    assert (quantised.macs, quantised.parameters) == (plain.macs, plain.parameters)
    assert (plain.precision, quantised.precision) == ("", "int8")
    report = costmodel.estimate(quantised, device="pixel4")
    assert report.weight_bytes < costmodel.estimate(plain, device="pixel4").weight_bytes / 3
    assert report.macs == plain.macs
    assert report.latency_s == pytest.approx(costmodel.estimate(plain, device="pixel4", dtype="int8").latency_s, rel=0.1)


def test_what_the_quantiser_put_between_operators_is_gone() -> None:
    kinds = [Counter(type(node.operator).__name__ for node in read_onnx(path).nodes) for path in (FLOAT, FOLDER / "images-int8-qdq.onnx")]
    assert not {"Cast", "Unknown", "Constant"} & kinds[1].keys()
    # the clamp and the rectifier became limits of the int8 range
    assert kinds[0] - kinds[1] == Counter({"ReLU": 1, "Clamp": 1})
    assert kinds[1] - kinds[0] == Counter({"Identity": 1})
