"""Which networks are chosen from, and accuracies of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from costmodel import zoo
from costmodel.decisions import Network, read_accuracies, select, zoo_networks
from costmodel.errors import InvalidFileError, UnknownNameError, UsageError


def names(found: tuple[Network, ...]) -> set[str]:
    return {network.name for network in found}


def test_every_network_with_a_published_top1_is_there() -> None:
    published = {name for name, found in zoo.architectures().items() if any(entry.metric == "top1" for entry in found.accuracies)}
    assert published == {zoo.find(network.name).architecture.name for network in zoo_networks()}


def test_variants_have_their_own_figures() -> None:
    """MobileNetV2's README: 74.7 at width 1.4 in the paper, 75.0 there; 65.3 at 128 pixels."""
    known = {network.name: network for network in zoo_networks()}
    assert known["mobilenet-v2-1.4"].figures[""].percent == 75.0
    assert known["mobilenet-v2@128"].figures[""].percent == 65.3
    assert known["mobilenet-v3-large"].figures["int8"].percent == 73.8
    assert (known["mobilenet-v3-large"].is_bound("int8"), known["mobilenet-v1"].is_bound("int8"), known["mobilenet-v1"].is_bound("fp16")) == (
        False,
        True,
        False,
    )


def test_every_figure_of_the_table_belongs_to_a_network_that_can_be_named_and_has_a_source() -> None:
    table = [entry for entry in zoo.published_top1() if entry.network not in zoo.architectures()]
    assert len(table) > 80
    for entry in zoo.published_top1():
        assert zoo.canonical(entry.network) == entry.network
        assert 40 < entry.percent < 95
        assert entry.source
        assert entry.evaluation in zoo.EVALUATIONS
    keys = [(entry.network, entry.dtype, entry.evaluation, entry.source) for entry in zoo.published_top1()]
    assert len(keys) == len(set(keys))


def test_wider_and_larger_is_more_accurate() -> None:
    """Each published grid rises along both of its axes, so that no two rows are swapped."""
    figures = {entry.network: entry.percent for entry in reversed(zoo.published_top1()) if not entry.dtype and entry.evaluation == "paper"}
    for base in ("mobilenet-v1", "mobilenet-v2", "mnasnet-a1"):
        grid: dict[tuple[float, int], float] = {}
        for name, percent in figures.items():
            request = zoo.find(name)
            if request.architecture.name == base:
                grid[request.width, (request.resolution or (224, 224))[0]] = percent
        assert len(grid) > 15
        for (width, side), percent in grid.items():
            assert all(percent <= other for (w, s), other in grid.items() if w >= width and s >= side)


def test_evaluations_and_extra_data_can_be_told_apart() -> None:
    assert {network.figures[""].evaluation for network in zoo_networks(evaluation="timm")} == {"timm"}
    assert names(zoo_networks()) - names(zoo_networks(extra_data=False)) == {
        "efficientnet-l2", "efficientnetv2-xl", "swin-l", "vit-h-14", "vit-h-14@518", "vit-l-16", "vit-s-32"
    }  # fmt: skip
    with pytest.raises(UnknownNameError, match="unknown evaluation 'tim'; did you mean timm"):
        zoo_networks(evaluation="tim")


def test_names_families_and_files_select() -> None:
    known = zoo_networks()
    assert names(select(known, ["efficientnet-lite"])) == {
        "efficientnet-lite0",
        "efficientnet-lite1",
        "efficientnet-lite2",
        "efficientnet-lite3@300",
        "efficientnet-lite4@380",
    }
    assert names(select(known, ["mobilenet-v2-1.4@224", "mobilenet-v2-1.4", "mine.onnx"])) == {"mobilenet-v2-1.4", "mine.onnx"}
    assert names(select(known, ["mobilenet-v2"])) == {"mobilenet-v2"}
    assert len(select(known, families=["mobilenet-v2"])) == 22  # 6 widths at 224 and 4 widths at 4 other resolutions
    assert select(known) == known
    for arguments, error, words in (
        ((["mobilnet-v2"],), UnknownNameError, "unknown network or family 'mobilnet-v2'; did you mean mobilenet-v2"),
        ((["efficientnet-light"],), UnknownNameError, "did you mean efficientnet-lite"),
        (([], ["resnets"]), UnknownNameError, "unknown family 'resnets'; did you mean"),
        ((["resnet-50-0.5"],), UsageError, "takes no width multiplier"),
        (([], ["enet"]), UsageError, "no network of enet has an accuracy"),
    ):
        with pytest.raises(error, match=words):
            select(known, *arguments)


def test_accuracies_of_ones_own_come_first(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("network,top1,dtype,source\nmobilenet-v2@224,70.5,int8,\nresnet-50,80.4,,our recipe\nnet.onnx,66,,\n\n", encoding="utf-8")
    found = {network.name: network for network in read_accuracies(path, zoo_networks())}
    assert found["mobilenet-v2"].figures["int8"].percent == 70.5
    assert found["mobilenet-v2"].figures[""].percent == 72.0
    assert (found["resnet-50"].figures[""].percent, found["resnet-50"].figures[""].source) == (80.4, "our recipe")
    assert (found["net.onnx"].family, found["net.onnx"].figures[""].evaluation) == ("own", "own")


HEADER = "network,top1\n"
#: Content of a file, words of the refusal.
FAULTS = {
    "empty": ("", "is empty; its first line must name the columns"),
    "no rows": (HEADER, "has a header and no rows"),
    "missing column": ("network,accuracy\nresnet-18,70\n", r":1: the column top1 is missing; found: network, accuracy"),
    "unknown column": ("network,top1,speed\nresnet-18,70,1\n", ":1: unknown column 'speed'"),
    "column twice": ("network,top1,top1\nresnet-18,70,70\n", ":1: the column 'top1' stands there twice"),
    "NaN": (HEADER + "resnet-18,70\nresnet-34,nan\n", ":3: top1 of resnet-34 must lie between 0 and 100 percent, not nan"),
    "not a number": (HEADER + "resnet-18,high\n", ":2: top1 of resnet-18 must be a percentage such as 75.2, not 'high'"),
    "over 100": (HEADER + "resnet-18,101\n", ":2: .* between 0 and 100 percent, not 101"),
    "a share": (HEADER + "resnet-18,0.697\n", r":2: .* is 0.697; give percent \(69.7\), not a share"),
    "duplicate": (HEADER + "resnet-18,70\n\nresnet-18@224,71\n", ":4: resnet-18 stands in line 2 already"),
    "unknown network": (HEADER + "resnet-19,70\n", ":2: unknown model 'resnet-19'; did you mean resnet-18"),
    "no name": (HEADER + ",70\n", ":2: names no network"),
    "too many cells": (HEADER + "resnet-18,70,5\n", ":2: has 3 cells, the header has 2"),
    "dtype": ("network,top1,dtype\nresnet-18,70,int4\n", ":2: unknown dtype 'int4'"),
    "quotes": (HEADER + '"resnet-18,70\n', "unexpected end of data"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_faulty_file_is_refused_with_its_line(case: str, tmp_path: Path) -> None:
    text, words = FAULTS[case]
    path = tmp_path / "mine.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidFileError, match=words) as caught:
        read_accuracies(path)
    assert str(caught.value).startswith(str(path))


def test_a_file_that_is_no_text_or_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    with pytest.raises(InvalidFileError, match="cannot be read"):
        read_accuracies(path)
    path.write_bytes(b"network,top1\n\xff\xfe,70\n")
    with pytest.raises(InvalidFileError, match=r"is no UTF-8 text \(byte 13\)"):
        read_accuracies(path)
