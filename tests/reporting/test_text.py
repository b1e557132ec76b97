"""The roofline in text and the tree of modules."""

from __future__ import annotations

import io
import sys

import pytest

import costmodel
from costmodel.estimation import GroupEstimate
from costmodel.reporting.sketch import sketch
from costmodel.reporting.tree import tree

HEIGHTS = " ▁▂▃▄▅▆▇█"


@pytest.mark.parametrize("device", ["pixel4", "coral-usb", "rtx4090", "xeon-e5-2690"])
@pytest.mark.parametrize("model", ["mobilenet-v2", "vgg-16", "vit-b-16"])
def test_a_sketch_has_a_rising_ceiling_and_time_where_kernels_are(device: str, model: str) -> None:
    found = sketch(costmodel.estimate(model, device=device))
    assert found is not None
    heights = [HEIGHTS.index(mark) for mark in found.ceiling]
    assert heights[1:] == sorted(heights[1:])
    assert heights[-1] == 8
    assert len(found.ceiling) == len(found.reached) == len(found.time) == len(found.scale)
    assert "█" in found.time
    assert all(done == " " or spent != " " for done, spent in zip(found.reached, found.time, strict=True))


def test_the_ceiling_is_the_processors() -> None:
    report = costmodel.estimate("resnet-50", device="a100", dtype="fp32")
    found = sketch(report)
    machine = report.target.machine
    assert found is not None
    assert found.words.startswith(f"{machine.peak('fp32') / 1e12:.1f} TFLOP/s from ")
    assert found.words.endswith(f"{machine.bytes_per_s / 1e12:.2f} TB/s below")


def test_without_blocks_it_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    report = costmodel.estimate("mobilenet-v2", device="pixel4")
    found = sketch(report)
    branches, _ = tree(report.by_module(), depth=2, most=0)
    assert found is not None
    assert "".join([*found[:4], *(branch.guides for branch in branches)]).isascii()


def groups(**latencies: float) -> list[GroupEstimate]:
    return [GroupEstimate(name.replace("_", "."), 1, 0, 0, 0, seconds, seconds) for name, seconds in latencies.items()]


def drawn(depth: int, most: int) -> list[str]:
    branches, _ = tree(groups(a=1.0, a_x=0.6, a_x_1=0.2, a_x_2=0.4, a_y=0.4, b=3.0, b_z=3.0), depth=depth, most=most)
    return [branch.guides + branch.name for branch in branches]


@pytest.mark.parametrize(
    ("depth", "most", "expected"),
    [
        (1, 0, ["a", "b"]),
        (2, 0, ["a", "├─ x", "└─ y", "b", "└─ z"]),
        (0, 0, ["a", "├─ x", "│  ├─ 1", "│  └─ 2", "└─ y", "b", "└─ z"]),
        (0, 3, ["a", "b", "└─ z"]),
        (0, 4, ["a", "└─ x", "b", "└─ z"]),
    ],
)
def test_a_tree_has_children_below_their_parents_and_the_dearest_where_room_is_short(depth: int, most: int, expected: list[str]) -> None:
    assert drawn(depth, most) == expected


def test_children_that_come_later_stand_with_their_siblings() -> None:
    branches, number = tree(groups(a=1.0, a_x=0.5, b=0.5, a_y=0.5), depth=0, most=0)
    assert [branch.group.name for branch in branches] == ["a", "a.x", "a.y", "b"]
    assert number == 4
