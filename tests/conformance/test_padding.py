"""TensorFlow's SAME padding to the element: where the odd row goes, and what fills it. Computed in torch on the CPU."""

from __future__ import annotations

import math

import pytest

from costmodel.operator import Operator
from costmodel.ops._shapes import resolve_padding
from costmodel.ops.convolution import Conv2d, DepthwiseConv2d, GroupedConv2d
from costmodel.ops.pooling import AvgPool2d, MaxPool2d
from costmodel.tensor import TensorSpec

# size, window, stride, dilation: elements before and after = total // 2 and the rest, with
# total = max(0, (ceil(size / stride) - 1) * stride + dilation * (window - 1) + 1 - size).
SAME = (
    (224, 3, 2, 1, (0, 1)),  # 111 * 2 + 3 - 224 = 1
    (225, 3, 2, 1, (1, 1)),  # 112 * 2 + 3 - 225 = 2
    (5, 3, 1, 1, (1, 1)),  # 4 + 3 - 5 = 2
    (6, 3, 1, 1, (1, 1)),
    (6, 2, 2, 1, (0, 0)),  # 2 * 2 + 2 - 6 = 0
    (7, 2, 2, 1, (0, 1)),  # 3 * 2 + 2 - 7 = 1
    (7, 2, 1, 1, (0, 1)),  # 6 + 2 - 7 = 1
    (6, 5, 2, 1, (1, 2)),  # 2 * 2 + 5 - 6 = 3
    (7, 5, 2, 1, (2, 2)),  # 3 * 2 + 5 - 7 = 4
    (7, 5, 3, 1, (2, 2)),  # 2 * 3 + 5 - 7 = 4
    (8, 5, 3, 1, (1, 2)),  # 2 * 3 + 5 - 8 = 3
    (8, 3, 1, 2, (2, 2)),  # 7 + 5 - 8 = 4
    (8, 4, 1, 1, (1, 2)),  # 7 + 4 - 8 = 3
    (4, 1, 2, 1, (0, 0)),  # 1 * 2 + 1 - 4 < 0
    (1, 3, 2, 1, (1, 1)),  # 0 + 3 - 1 = 2
    (1, 7, 1, 1, (3, 3)),
)


@pytest.mark.parametrize(("size", "window", "stride", "dilation", "expected"), SAME)
def test_same_adds_the_odd_element_at_the_end(size: int, window: int, stride: int, dilation: int, expected: tuple[int, int]) -> None:
    found = resolve_padding("same", (size, size), (window, window), (stride, stride), (dilation, dilation))
    assert (found.top, found.bottom) == (found.left, found.right) == expected
    assert found.is_same
    assert found.any == any(expected)


@pytest.mark.parametrize(("size", "window", "stride", "dilation", "expected"), SAME)
def test_other_paddings_know_whether_they_equal_same(size: int, window: int, stride: int, dilation: int, expected: tuple[int, int]) -> None:
    image, kernel, steps, spread = (size, size), (window, window), (stride, stride), (dilation, dilation)
    before, after = expected
    assert resolve_padding((before, after, before, after), image, kernel, steps, spread).is_same
    assert not resolve_padding((before + 1, after, before, after), image, kernel, steps, spread).is_same
    assert resolve_padding("valid", image, kernel, steps, spread).is_same == (before == after == 0)


WINDOWS = [(7, 10, 3, 2), (8, 9, 3, 2), (6, 7, 2, 2), (6, 11, 5, 3), (5, 5, 3, 1), (8, 8, 4, 1), (1, 2, 3, 2)]


def _sides(size: int, window: int, stride: int) -> tuple[int, int]:
    """TensorFlow's rule written out anew: enough that every window that starts in the image is whole."""
    starts = range(0, size, stride)
    missing = max(0, starts[-1] + window - size)
    return missing // 2, missing - missing // 2


@pytest.mark.torch
@pytest.mark.parametrize(
    ("made", "weight"),
    [
        pytest.param(Conv2d, (6, 4), id="dense"),
        pytest.param(DepthwiseConv2d, (4, 1), id="depthwise"),
        pytest.param(GroupedConv2d, (6, 2), id="grouped"),
    ],
)
@pytest.mark.parametrize(("height", "width", "window", "stride"), WINDOWS)
def test_same_convolution_is_a_padded_one(made: type[Operator], weight: tuple[int, int], height: int, width: int, window: int, stride: int) -> None:
    import torch
    from torch.nn import functional

    random = torch.Generator().manual_seed(0)
    kernel, steps = (window, window), (stride, stride)
    arguments = {Conv2d: (6, kernel, steps), DepthwiseConv2d: (kernel, steps), GroupedConv2d: (6, 2, kernel, steps)}[made]
    x = torch.randn(2, 4, height, width, generator=random)
    weights = torch.randn(*weight, window, window, generator=random)
    padded = functional.pad(x, (*_sides(width, window, stride), *_sides(height, window, stride)))
    expected = functional.conv2d(padded, weights, stride=stride, groups=4 // weight[1])
    assert expected.shape[2:] == (math.ceil(height / stride), math.ceil(width / stride))
    torch.testing.assert_close(made(*arguments).run(x, weight=weights), expected)


def _windows(height: int, width: int, window: int, stride: int) -> list[tuple[slice, slice]]:
    """The part of the image under each window, row by row."""
    (top, _), (left, _) = _sides(height, window, stride), _sides(width, window, stride)
    return [
        (slice(max(0, y - top), min(height, y - top + window)), slice(max(0, x - left), min(width, x - left + window)))
        for y in range(0, height, stride)
        for x in range(0, width, stride)
    ]


@pytest.mark.torch
@pytest.mark.parametrize(("height", "width", "window", "stride"), WINDOWS)
def test_same_max_pool_never_takes_the_padding(height: int, width: int, window: int, stride: int) -> None:
    import torch

    x = -1 - torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))  # a padding of zeros would win
    found = MaxPool2d((window, window), (stride, stride), "same").run(x)
    expected = torch.stack([x[:, :, rows, columns].amax((2, 3)) for rows, columns in _windows(height, width, window, stride)], -1)
    torch.testing.assert_close(found, expected.reshape(found.shape))


@pytest.mark.torch
@pytest.mark.parametrize("count_padding", [False, True])
@pytest.mark.parametrize(("height", "width", "window", "stride"), WINDOWS)
def test_same_average_pool_divides_by_what_it_saw(height: int, width: int, window: int, stride: int, count_padding: bool) -> None:
    import torch

    x = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    found = AvgPool2d((window, window), (stride, stride), "same", count_padding=count_padding).run(x)
    parts = [x[:, :, rows, columns] for rows, columns in _windows(height, width, window, stride)]
    taps = [window * window if count_padding else part.shape[2] * part.shape[3] for part in parts]
    expected = torch.stack([part.sum((2, 3)) / count for part, count in zip(parts, taps, strict=True)], -1)
    torch.testing.assert_close(found, expected.reshape(found.shape))


@pytest.mark.torch
def test_dilated_same_convolution_keeps_the_size_and_the_centre() -> None:
    import torch

    x = torch.rand(1, 1, 9, 9)
    centre = torch.zeros(1, 1, 3, 3)
    centre[0, 0, 1, 1] = 1.0
    made = Conv2d(1, (3, 3), padding="same", dilation=(2, 2))
    assert made.infer(TensorSpec((1, 1, 9, 9)))[0].shape == (1, 1, 9, 9)
    torch.testing.assert_close(made.run(x, weight=centre), x)
