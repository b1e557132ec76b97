"""Weights stored in another format: bytes of the file and of the weight traffic, and nothing else."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from typing import Any

import pytest

import costmodel
from costmodel.cli import main
from costmodel.compression import WeightFormat, parse_weight_format
from costmodel.errors import UsageError
from costmodel.work import WorkKind

#: SqueezeNet's weights, and those that Deep Compression keeps of them (arXiv 1602.07360, Table 1).
SQUEEZENET, KEPT = 1_248_424, 421_098

#: Text, stored bits of a weight of 32 bits on average.
FORMATS = {
    "fp32": 32,
    "fp16": 16,
    "bf16": 16,
    "int8": 8,
    "6bit": 6,
    "1bit": 1,
    "pruned=0": 32,
    # 4 bits hold a distance of up to 16; a share (1 - kept)^16 of the distances is longer and takes a filler, and so on
    "pruned=0.75": Fraction(32 + 4, 4) / (1 - Fraction(3, 4) ** 16),
    "pruned=.5": Fraction(32 + 4, 2) / (1 - Fraction(1, 2) ** 16),
    "int8,pruned=0.5": Fraction(8 + 4, 2) / (1 - Fraction(1, 2) ** 16),
    "pruned=0.9, 5bit": Fraction(5 + 4, 10) / (1 - Fraction(9, 10) ** 16),
    "pruned=0.001": 32,  # the distances would cost more than the zeros save
}


def vectors(network: str) -> int:
    """Biases of the convolutions and matrix products of a network; a normalisation after one that has none makes one."""
    found = 0
    for node in costmodel.build(network).nodes:
        shapes = node.parameter_shapes
        folded = node.work.kind is WorkKind.BATCH_NORM and node.outputs[0].shape[1]
        found += folded or shapes.get("bias", (0,))[0]
    return found


@pytest.mark.parametrize("text", FORMATS)
def test_bits_of_a_weight(text: str) -> None:
    assert parse_weight_format(text).scale(32) * 32 == FORMATS[text]


def test_squeezenet_at_6_bits_pruned_is_half_a_megabyte() -> None:
    """The paper's 0.47 MB has entropy coding on top of this."""
    stored = WeightFormat(bits=6, kept=Fraction(KEPT, SQUEEZENET)).scale(32) * SQUEEZENET * 4
    assert float(stored) == pytest.approx(KEPT * (6 + 4) / 8, rel=2e-3)  # fillers are rare at this density
    assert float(stored) == pytest.approx(0.527e6, rel=1e-3)
    report = costmodel.estimate("squeezenet-1.0", device="pixel4", weights="6bit,pruned=0.6627")
    biases = vectors("squeezenet-1.0")
    assert report.weight_bytes == pytest.approx((SQUEEZENET - biases) / SQUEEZENET * 0.527e6 + 4 * biases, rel=1e-3)
    assert report.weight_bytes < 0.55e6


def test_hardly_any_weight_left_still_takes_fillers() -> None:
    """One entry every 16 weights at the least."""
    assert float(parse_weight_format("pruned=0.99999").scale(32)) == pytest.approx((32 + 4) / 16 / 32, rel=0.01)


BAD = (
    *("", "fp8", "8", "0bit", "33bit", "-6bit", "6.5bit", "6bit,", "6bit,int8", "fp16,fp16"),
    *("pruned=", "pruned=1", "pruned=1.5", "pruned=-0.1", "pruned=0.5,pruned=0.5"),
)


@pytest.mark.parametrize("text", BAD)
def test_bad_formats_are_refused_with_what_was_given(text: str) -> None:
    with pytest.raises(UsageError, match="--weights ") as caught:
        parse_weight_format(text)
    assert repr(text) in str(caught.value)


def totals(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    assert main(["analyze", "squeezenet-1.0", "--device", "pixel4", "--json", *options]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)["totals"]
    return found


def test_the_command_line_changes_bytes_and_no_counts(capsys: pytest.CaptureFixture[str]) -> None:
    plain, half, pruned = (totals(capsys, *options) for options in ((), ("--weights", "fp16"), ("--weights", "6bit,pruned=0.7")))
    for found in (half, pruned):
        for count in ("parameters", "macs", "flops", "peak_activation_bytes", "kernels"):
            assert found[count] == plain[count]
        less = plain["weight_bytes"] - found["weight_bytes"]
        assert less - found["kernels"] <= plain["traffic_bytes"] - found["traffic_bytes"] <= less  # each kernel's weights are rounded up
    assert plain["weight_bytes"] == plain["model_file_bytes"] == 4 * SQUEEZENET
    assert half["weight_bytes"] == half["model_file_bytes"] == 2 * SQUEEZENET
    biases = vectors("squeezenet-1.0")
    assert pruned["model_file_bytes"] == pytest.approx((SQUEEZENET - biases) * 0.3 / (1 - 0.7**16) * 10 / 8 + 4 * biases, abs=1)
    assert pruned["model_file_bytes"] <= pruned["weight_bytes"] <= pruned["model_file_bytes"] + pruned["kernels"]  # each kernel's rounded up


#: Device and dtype to run in, the format, and bytes of a stored weight and of a stored bias.
STORED = {
    "dynamic int8: biases stay in floating point": ("pixel4", "fp32", "int8", 1, 4),
    "a few bits": ("pixel4", "fp32", "4bit", 0.5, 4),
    "fp16 is for all": ("pixel4", "fp32", "fp16", 2, 2),
    "16 bits as codes are for weights": ("pixel4", "fp32", "16bit", 2, 4),
    "int8 has biases of 32 bits": ("pixel4", "int8", None, 1, 4),
    "and keeps them": ("pixel4", "int8", "4bit", 0.5, 4),
    "half precision with few bits": ("a100", "fp16", "int8", 1, 2),
}


@pytest.mark.parametrize("case", STORED)
def test_biases_are_stored_as_runtimes_do(case: str) -> None:
    device, dtype, weights, weight_bytes, bias_bytes = STORED[case]
    graph = costmodel.build("vgg-11")  # no normalisations, so that every runtime stores the same
    biases = vectors("vgg-11")
    report = costmodel.estimate(graph, device=device, dtype=dtype, weights=weights)
    assert report.model_file_bytes == (graph.parameters - biases) * weight_bytes + biases * bias_bytes


def test_folded_normalisations_are_biases() -> None:
    graph, biases = costmodel.build("mobilenet-v2"), vectors("mobilenet-v2")
    filters = sum(node.work.n * node.work.k * node.work.groups for node in graph.nodes)
    assert costmodel.estimate(graph, device="pixel4", weights="int8").model_file_bytes == filters + 4 * biases


def test_normalisations_and_positions_are_not_narrowed() -> None:
    """ViT: matrices and the patch filter in 8 bits; biases, normalisations, class token and positions in 32."""
    graph = costmodel.build("vit-b-32")
    shapes = [shape for node in graph.nodes if node.arguments for name, shape in node.parameter_shapes.items() if name == "weight"]
    matrices = sum(math.prod(shape) for shape in shapes if len(shape) > 1)
    assert costmodel.estimate(graph, device="pixel4", weights="int8").model_file_bytes == matrices + 4 * (graph.parameters - matrices)


def test_what_the_latency_takes_for_granted_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", "vgg-16", "--device", "coral-usb", "--weights", "pruned=0.9"]) == 0
    assert "warning: the latency takes" in capsys.readouterr().err


def test_weights_wider_than_what_they_run_in_are_refused() -> None:
    with pytest.raises(UsageError, match="16 bits are wider than int8"):
        costmodel.estimate("vgg-16", device="coral-usb", weights="fp16")


def test_amp_which_casts_weights_itself_is_refused() -> None:
    with pytest.raises(UsageError, match="choose --dtype"):
        costmodel.estimate("resnet-18", device="a100", dtype="amp", weights="fp16")


def test_the_command_line_refuses_a_bad_format(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", "squeezenet-1.0", "--device", "pixel4", "--weights", "fp8"]) == 2
    assert "'fp8' is not fp32" in capsys.readouterr().err
