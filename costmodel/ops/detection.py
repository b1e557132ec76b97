"""What detectors do to the maps of boxes that their networks end in."""

from __future__ import annotations

from typing import Any

from costmodel.errors import ShapeError
from costmodel.operator import Example, Operator, Specs, operator
from costmodel.ops._shapes import require_rank
from costmodel.tensor import TensorSpec
from costmodel.work import Work, WorkKind

#: Floating-point operations of one pair of boxes: four of the corners' extremes, two differences, a product, the union's sum and difference, a product with
#: the largest share allowed, a comparison.
_PAIR_FLOPS = 11
#: Values of a box before the scores of its classes: two corners, and how probably anything is there.
_CORNERS, _CLASSES = 4, 5


@operator
class NonMaxSuppression(Operator):
    """The best boxes of a YOLO's maps. Maps: (1, boxes * values, H, W); out: (kept, 4), the corners of the boxes that are kept.

    Every position has `boxes` of them, each of two corners (x0, y0, x1, y1), a score, and one score more a class. In the order of their score times the largest
    of their classes, a box is kept unless it shares more than `overlap` of the union's area with one that was kept before (greedy non-maximum suppression, as
    R-CNN's, arXiv:1311.2524 section 2.3). Shapes are fixed: the first `kept` are given, and where fewer are left, suppressed ones follow.

    How many pairs of N boxes are compared depends on the data: `pairs` is the number assumed, 1 to N (N - 1) / 2.
    """

    boxes: int
    kept: int
    pairs: int
    overlap: float = 0.45

    def infer(self, *inputs: TensorSpec) -> Specs:
        if not inputs:
            raise ShapeError("takes at least one map")
        if self.boxes < 1:
            raise ShapeError(f"boxes at a position must be at least 1, not {self.boxes}")
        if not 0 <= self.overlap <= 1:
            raise ShapeError(f"overlap is a share of an area, 0 to 1, not {self.overlap:g}")
        for spec in inputs:
            require_rank(spec, 4, "a map")
            if spec.shape[0] != 1 or spec.shape[1] % self.boxes or spec.shape[1] // self.boxes <= _CLASSES or spec.shape[1] != inputs[0].shape[1]:
                raise ShapeError(f"takes maps of one image with equally many values of {self.boxes} boxes, over {_CLASSES} each, not {spec}")
        found = sum(self.boxes * spec.shape[2] * spec.shape[3] for spec in inputs)
        if not 1 <= self.kept <= found:
            raise ShapeError(f"can keep 1 to {found} of {found} boxes, not {self.kept}")
        most = found * (found - 1) // 2
        if not 1 <= self.pairs <= most:
            raise ShapeError(f"can compare 1 to {most} pairs of {found} boxes, not {self.pairs}")
        return (TensorSpec((self.kept, _CORNERS), inputs[0].dtype),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        values = sum(spec.numel for spec in inputs)
        return Work(
            kind=WorkKind.GATHER,
            groups=self.boxes,
            elements_read=values,
            elements_written=outputs[0].numel,
            other_flops=values + _PAIR_FLOPS * self.pairs,
            pairs=self.pairs,
        )

    def run(self, *tensors: Any, **weights: Any) -> Any:
        import torch

        found = torch.cat([x.reshape(self.boxes, x.shape[1] // self.boxes, -1).transpose(1, 2).flatten(0, 1) for x in tensors])
        scores = found[:, _CORNERS] * found[:, _CLASSES:].amax(1)
        corners = found[scores.argsort(descending=True, stable=True), :_CORNERS]
        low, high = corners[:, :2], corners[:, 2:]
        shared = (torch.minimum(high[:, None], high) - torch.maximum(low[:, None], low)).clamp(min=0).prod(2)
        areas = (high - low).prod(1)
        over = shared > self.overlap * (areas[:, None] + areas - shared)
        kept = torch.ones(len(corners), dtype=torch.bool, device=corners.device)
        for place in range(1, len(corners)):
            kept[place] = ~(over[place, :place] & kept[:place]).any()
        return corners[(~kept).to(torch.int8).argsort(stable=True)[: self.kept]]

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        coarse, fine = TensorSpec((1, 21, 2, 3)), TensorSpec((1, 21, 4, 6))
        return (Example(cls(3, 5, 40), (coarse,)), Example(cls(3, 30, 900), (coarse, fine)), Example(cls(1, 6, 15, 0.6), (coarse,)))
