"""Idioms of layout: padding before windows, shuffled channels, parts that are taken after a reordering, blocks gathered by strided cuts.

An idiom looks at one node of a graph and says what replaces it, or None.
"""

from __future__ import annotations

import dataclasses

from costmodel.graph import Node, TensorRef
from costmodel.importers._view import Replacement, Step, View
from costmodel.ops.blocks import ChannelShuffle
from costmodel.ops.convolution import Conv2d, DepthwiseConv2d, GroupedConv2d, OperandConv2d
from costmodel.ops.layout import Concat, Identity, Permute, Reshape, Slice, Split
from costmodel.ops.padding import Pad
from costmodel.ops.pooling import MaxPool2d


def padded_window(view: View, node: Node) -> Replacement | None:
    """A PAD before a convolution that pads nothing itself, or before a maximum pool with the smallest number: padding of the window operator."""
    operator = node.operator
    if not isinstance(operator, Conv2d | DepthwiseConv2d | GroupedConv2d | OperandConv2d | MaxPool2d):
        return None
    chain = view.before(node, Pad)
    if chain is None or node.operator.padding_of(*node.inputs).any:  # type: ignore[union-attr]  # window operators have one
        return None
    pad = chain[0].operator
    assert isinstance(pad, Pad)
    if min(pad.sides) < 0 or (pad.value >= -1e30 if isinstance(operator, MaxPool2d) else pad.value != 0):
        return None
    step = Step(dataclasses.replace(operator, padding=pad.sides), (chain[0].arguments[0], *node.arguments[1:]), weights=view.sources.get(node.name))
    return {node.name: (step,)}


def channel_shuffle(view: View, node: Node) -> Replacement | None:
    """(N, C, H, W) as (N, g, C/g, H, W), the middle two swapped, and back: a channel shuffle of g groups. Source: arXiv 1707.01083, section 3.1."""
    if not isinstance(node.operator, Reshape):
        return None
    chain = view.before(node, Permute, Reshape)
    if chain is None:
        return None
    permute, split = chain
    shape, grouped = split.inputs[0].shape, split.outputs[0].shape
    if len(shape) != 4 or len(grouped) != 5 or permute.operator != Permute((0, 2, 1, 3, 4)) or node.outputs[0].shape != shape:
        return None
    if (grouped[0], grouped[1] * grouped[2], *grouped[3:]) != shape:
        return None
    return {node.name: (Step(ChannelShuffle(grouped[1]), (split.arguments[0],)),)}


def taken_apart(view: View, node: Node) -> Replacement | None:
    """All of an axis moved to the front and taken one by one, as attention takes q, k and v: cut first, then each part reordered.

    The same elements move; a runtime without views copies everything once for the cut and once for the orders, either way.
    """
    if not isinstance(node.operator, Permute) or node.arguments[0] in view.outputs:
        return None
    front, axis = TensorRef(node.name), node.operator.order[0]
    between = []
    readers = view.readers.get(front, [])
    while len(readers) == 1 and isinstance(readers[0].operator, Reshape | Identity) and view.only_reader(front):
        between.append(readers[0])
        front = TensorRef(readers[0].name)
        readers = view.readers.get(front, [])
    count = node.outputs[0].shape[0]
    taken = [reader.operator.start for reader in readers if isinstance(reader.operator, Slice) and reader.operator.axis == 0 and reader.operator.squeeze]
    if count < 2 or front in view.outputs or len(readers) != count or sorted(taken) != list(range(count)):
        return None
    if any(step.outputs[0].shape[0] != count for step in between):
        return None
    replacement: dict[str, tuple[Step, ...]] = {node.name: (Step(Split((1,) * count, axis), (node.arguments[0],)),)}
    replacement |= {step.name: () for step in between}
    for reader in readers:
        assert isinstance(reader.operator, Slice)
        steps = [Step(node.operator, (TensorRef(node.name, reader.operator.start),), "order")]
        for step in between:
            if isinstance(step.operator, Reshape):
                free, shape = step.operator.free, step.operator.shape
                steps.append(Step(Reshape(shape if free == 0 else (1, *shape[1:]), free), (len(steps) - 1,), "shape"))
        steps.append(Step(Slice(0, 0, 1, 1, True), (len(steps) - 1,)))
        replacement[reader.name] = tuple(steps)
    return replacement


def swapped_back(view: View, node: Node) -> Replacement | None:
    """The last two axes swapped, the others divided or joined, and the two swapped back: the others divided or joined, and nothing else.

    An exporter that keeps the keys of an attention transposed writes so.
    """
    if not isinstance(node.operator, Permute) or not _swaps_last(node.operator):
        return None
    chain = view.before(node, Reshape, Permute)
    if chain is None:
        return None
    reshape, first = chain
    given, made = reshape.inputs[0].shape, reshape.outputs[0].shape
    if not isinstance(reshape.operator, Reshape) or not isinstance(first.operator, Permute) or not _swaps_last(first.operator):
        return None
    free = reshape.operator.free
    if given[-2:] != made[-2:] or len(made) < 3 or free >= len(made) - 2:
        return None
    turned = (*made[:-2], made[-1], made[-2])
    return {node.name: (Step(Reshape((*turned[:free], *turned[free + 1 :]), free), (first.arguments[0],)),)}


def _swaps_last(permute: Permute) -> bool:
    """Whether a permutation swaps the last two axes and leaves the others."""
    rank = len(permute.order)
    return rank > 2 and permute.order == (*range(rank - 2), rank - 1, rank - 2)


def gathered_blocks(view: View, node: Node) -> Replacement | None:
    """Every b-th row and column from each of b*b places, joined as channels: the positions of a block side by side. x: (N, H, W, C).

    Swin merges patches so in torchvision's form; the places may follow each other down or across first. Source: arXiv 2103.14030, section 3.1.
    """
    if not isinstance(node.operator, Concat) or len(node.outputs[0].shape) != 4 or node.operator.axis not in (3, -1):
        return None
    places = []
    origins = set()
    for ref in node.arguments:
        found: dict[int, Slice] = {}
        while (
            (maker := view.maker(ref)) is not None and isinstance(maker.operator, Slice) and maker.operator.axis in (1, 2) and maker.operator.axis not in found
        ):
            found[maker.operator.axis] = maker.operator
            ref = maker.arguments[0]
        if found.keys() != {1, 2}:
            return None
        origins.add(ref)
        places.append((found[1], found[2]))
    block = places[0][0].step
    if len(origins) != 1 or block < 2 or len(places) != block**2:
        return None
    (ref,) = origins
    _, height, width, channels = view.graph.spec(ref).shape
    starts = [(rows.start, columns.start) for rows, columns in places]
    across = [(row, column) for row in range(block) for column in range(block)]
    down = [(column, row) for row, column in across]
    whole = all(cut.step == block and cut.stop >= size - block + cut.start + 1 for cuts in places for cut, size in zip(cuts, (height, width), strict=True))
    if height % block or width % block or not whole or starts not in (across, down):
        return None
    order = (0, 1, 3, 2, 4, 5) if starts == across else (0, 1, 3, 4, 2, 5)
    steps = (
        Step(Reshape((height // block, block, width // block, block, channels)), (ref,), "blocks"),
        Step(Permute(order), (0,), "gather"),
        Step(Reshape((height // block, width // block, block**2 * channels)), (1,)),
    )
    return {node.name: steps}
