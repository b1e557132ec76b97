"""What a detector does to its maps of boxes."""

from __future__ import annotations

from pathlib import Path

import pytest

import costmodel
from costmodel.errors import ShapeError, UsageError
from costmodel.graph import Graph, GraphBuilder
from costmodel.ops.detection import NonMaxSuppression
from costmodel.tensor import TensorSpec
from tests.calibration.benchncnn_graphs import mobilenetv2_yolov3, suppression, yolov4_tiny

torch = pytest.importorskip("torch", reason="runs the operator")
#: Corners, score and class scores of four boxes: the second shares nearly all of the better first, the third a third of it, the last lies apart.
BOXES = ((0, 0, 10, 10, 0.9, 1.0, 0.2), (0, 0, 10, 9, 0.9, 0.1, 0.9), (5, 0, 15, 10, 0.5, 0.3, 0.4), (50, 50, 60, 60, 0.6, 0.1, 0.1))


@pytest.mark.torch
@pytest.mark.parametrize(("kept", "overlap", "places"), [(3, 0.45, (0, 2, 3)), (4, 0.45, (0, 2, 3, 1)), (2, 0.3, (0, 3)), (3, 0.3, (0, 3, 1))])
def test_boxes_that_overlap_a_better_one_are_left_out(kept: int, overlap: float, places: tuple[int, ...]) -> None:
    values = torch.tensor(BOXES).reshape(2, 2, 1, 7).permute(0, 3, 1, 2).reshape(1, 14, 2, 1)  # two boxes at each of two positions
    found = NonMaxSuppression(2, kept, 6, overlap).run(values)
    assert found.tolist() == [list(BOXES[place][:4]) for place in places]


@pytest.mark.parametrize("device", ["a100", "i9-10940x", "pixel4"])
def test_boxes_have_no_cost_where_none_says_what_one_thread_takes(device: str) -> None:
    # failed before on GPUs and servers: they were a small lookup of all cores
    (kernel,) = costmodel.estimate(_alone(), device=device).unmodelled
    assert kernel.name == "boxes"


@pytest.mark.torch
@pytest.mark.parametrize("suffix", [".onnx", ".pt2", ".param", ".tflite"])
def test_no_file_holds_the_loop_over_boxes(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"boxes.*NonMaxSuppression"):
        costmodel.export(_alone(), tmp_path / f"boxes{suffix}")
    assert list(tmp_path.iterdir()) == []


def _alone() -> Graph:
    builder = GraphBuilder("suppression")
    return builder.build(builder.add(NonMaxSuppression(3, 5, 40), builder.input("maps", TensorSpec((1, 21, 4, 4))), name="boxes"))


@pytest.mark.parametrize(
    ("operator", "shapes", "message"),
    [
        (NonMaxSuppression(3, 1, 1), (), "at least one map"),
        (NonMaxSuppression(3, 1, 1), ((2, 21, 2, 2),), "one image"),
        (NonMaxSuppression(3, 1, 1), ((1, 20, 2, 2),), "equally many values of 3 boxes"),
        (NonMaxSuppression(3, 1, 1), ((1, 15, 2, 2),), "over 5 each"),
        (NonMaxSuppression(3, 13, 1), ((1, 21, 2, 2),), "can keep 1 to 12 of 12 boxes, not 13"),
        (NonMaxSuppression(0, 1, 1), ((1, 21, 2, 2),), "boxes at a position must be at least 1, not 0"),
        (NonMaxSuppression(3, 1, 0), ((1, 21, 2, 2),), "can compare 1 to 66 pairs of 12 boxes, not 0"),
        (NonMaxSuppression(3, 1, 67), ((1, 21, 2, 2),), "not 67"),
        (NonMaxSuppression(3, 1, 1, float("nan")), ((1, 21, 2, 2),), "0 to 1, not nan"),
        (NonMaxSuppression(3, 1, 1, -0.1), ((1, 21, 2, 2),), "0 to 1, not -0.1"),
    ],
)
def test_maps_that_hold_no_boxes_are_refused(operator: NonMaxSuppression, shapes: tuple[tuple[int, ...], ...], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        operator.infer(*map(TensorSpec, shapes))


def test_pairs_are_counted_until_one_overlaps() -> None:
    """The sort of equal scores turns three boxes around, so that the last is kept first."""
    assert suppression([(0, 0, 10, 10), (20, 0, 30, 10), (0, 0, 10, 9)]) == (2, 2)
    assert suppression([(0, 0, 1, 1), (2, 0, 3, 1), (4, 0, 5, 1), (6, 0, 7, 1)]) == (4, 6)


def test_networks_of_benchncnn_keep_as_many_boxes_as_ncnn_does() -> None:
    """Rows of the output of ncnn 1.0.20240410 with empty weights and an input of 0.01: 1160 and 761."""
    kept = {
        graph.name: node.operator.kept
        for graph in (yolov4_tiny(), mobilenetv2_yolov3())
        for node in graph.nodes
        if isinstance(node.operator, NonMaxSuppression)
    }
    assert kept == {"yolov4-tiny": 1160, "mobilenetv2-yolov3": 761}
