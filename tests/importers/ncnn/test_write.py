"""ncnn's .param files: every blob is written once and read once, and weights are as many as the network's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from costmodel import zoo
from costmodel.cli import main
from costmodel.errors import UsageError
from costmodel.importers.files import write_file
from costmodel.importers.ncnn._write import MAGIC, param_text
from costmodel.work import WorkKind

#: Networks that between them have every layer that is written.
NETWORKS = [
    "resnet-18", "mobilenet-v1", "mobilenet-v3-small", "shufflenet-v2-0.5", "densenet-121", "googlenet-bn", "efficientnet-b0", "regnet-y-400mf",
    "squeezenet-1.1", "inception-v3", "ghostnet",
]  # fmt: skip
_CONTRACTIONS = {WorkKind.CONVOLUTION, WorkKind.POINTWISE, WorkKind.DEPTHWISE, WorkKind.GROUPED, WorkKind.LINEAR}


def layers(text: str) -> list[tuple[str, list[str], list[str], dict[str, str]]]:
    """(type, inputs, outputs, parameters) of every layer."""
    found = []
    for line in text.splitlines()[2:]:
        kind, _, inputs, outputs, *rest = line.split()
        n, m = int(inputs), int(outputs)
        found.append((kind, rest[:n], rest[n : n + m], dict(part.split("=", 1) for part in rest[n + m :])))
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_blobs_and_weights_are_the_networks(name: str) -> None:
    graph = zoo.build(name)
    text = param_text(graph)
    found = layers(text)
    magic, counts = text.splitlines()[:2]
    written = [blob for _, _, outputs, _ in found for blob in outputs]
    read = [blob for _, inputs, _, _ in found for blob in inputs]
    assert int(magic) == MAGIC
    assert counts == f"{len(found)} {len(written)}"
    assert len(set(written)) == len(written)
    assert len(set(read)) == len(read)
    assert set(written) - set(read) == {found[-1][2][0]}  # the network's output alone is left
    known: set[str] = set()
    for _, inputs, outputs, _ in found:
        assert set(inputs) <= known
        known |= set(outputs)
    weights = {"Convolution": "6", "ConvolutionDepthWise": "6", "InnerProduct": "2"}
    elements = sum(int(parameters[weights[kind]]) for kind, _, _, parameters in found if kind in weights)
    assert elements == sum(_elements(node.parameter_shapes["weight"]) for node in graph.nodes if node.work.kind in _CONTRACTIONS)


def _elements(shape: tuple[int, ...]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total


def test_the_beginning_of_a_network_is_as_ncnn_writes_it() -> None:
    lines = [re.sub(" +", " ", line) for line in param_text(zoo.build("mobilenet-v1")).splitlines()]
    first = next(line for line in lines if line.startswith("Convolution "))
    assert lines[2] == "Input image 0 1 image 0=224 1=224 2=3"
    assert first.endswith("0=32 1=3 11=3 2=1 12=1 3=2 13=2 4=0 14=0 15=1 16=1 5=1 6=864 9=3 -23310=2,0.000000e+00,6.000000e+00")
    assert not any(line.startswith("BatchNorm") for line in lines)


def test_a_normalisation_before_its_convolution_stays_a_layer() -> None:
    assert any(kind == "BatchNorm" for kind, *_ in layers(param_text(zoo.build("densenet-121"))))


def test_what_has_no_form_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match=r"\(Permute\) has no form"):
        write_file(zoo.build("deit-ti"), tmp_path / "a.param")
    with pytest.raises(UsageError, match="a batch of 1, not 2"):
        write_file(zoo.build("resnet-18", batch=2), tmp_path / "a.param")
    with pytest.raises(UsageError, match="takes no weights"):
        write_file(zoo.build("resnet-18"), tmp_path / "a.param", weights={})
    assert list(tmp_path.iterdir()) == []
    assert main(["export", "resnet-18", "-o", str(tmp_path / "r.param")]) == 0
    assert "operators" in capsys.readouterr().out
