"""Window operators over all of their fields: shapes and counts equal torch's, and grow as they must."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.errors import ShapeError
from costmodel.operator import Operator
from costmodel.ops.convolution import ConvTranspose2d, convolution
from costmodel.ops.pooling import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d
from costmodel.tensor import TensorSpec

bounded = settings(deadline=None, derandomize=True, database=None, max_examples=150)


def pairs(low: int, high: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(low, high), st.integers(low, high))


paddings = st.one_of(st.sampled_from(["same", "valid"]), st.tuples(*[st.integers(0, 3)] * 4))
images = st.tuples(st.integers(1, 3), st.integers(1, 17), st.integers(1, 17))


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Operator, TensorSpec]:
    """Any convolution with an image of channels that its groups divide."""
    batch, height, width = draw(images)
    groups, per_group = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    made = convolution(
        groups * per_group,
        groups * draw(st.integers(1, 4)),
        draw(pairs(1, 5)),
        draw(pairs(1, 3)),
        padding=draw(paddings),
        dilation=draw(pairs(1, 2)),
        groups=groups,
        bias=draw(st.booleans()),
    )
    return made, TensorSpec((batch, groups * per_group, height, width))


@st.composite
def transposed(draw: st.DrawFn) -> tuple[Operator, TensorSpec]:
    """Any transposed convolution that torch takes: the output padding is under the stride."""
    batch, height, width = draw(images)
    groups, per_group = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    stride = draw(pairs(1, 3))
    made = ConvTranspose2d(
        groups * draw(st.integers(1, 4)),
        draw(pairs(1, 4)),
        stride,
        draw(pairs(0, 2)),
        (draw(st.integers(0, stride[0] - 1)), draw(st.integers(0, stride[1] - 1))),
        groups,
        draw(st.booleans()),
    )
    return made, TensorSpec((batch, groups * per_group, height, width))


@st.composite
def pools(draw: st.DrawFn) -> tuple[Operator, TensorSpec]:
    """Any window pool; torch takes a padding of at most half the window."""
    batch, height, width = draw(images)
    rows, columns = draw(pairs(1, 5))
    down, across = draw(st.integers(0, rows // 2)), draw(st.integers(0, columns // 2))
    padding = draw(st.sampled_from(["same", "valid", (down, down, across, across), (0, down, 0, across)]))
    made = draw(st.sampled_from([MaxPool2d, AvgPool2d]))
    return made((rows, columns), draw(pairs(1, 3)), padding, draw(st.booleans())), TensorSpec((batch, draw(st.integers(1, 5)), height, width))


@pytest.mark.torch
@bounded
@given(case=st.one_of(convolutions(), transposed(), pools()))
def test_shapes_and_macs_equal_torch_which_has_nothing_where_we_refuse(case: tuple[Operator, TensorSpec], on_meta: Callable[..., Any]) -> None:
    made, image = case
    try:
        outputs = made.infer(image)
    except ShapeError:
        try:
            (found,), _ = on_meta(made, (image,))
        except RuntimeError:
            return
        assert 0 in found.shape  # torch lets a transposed convolution give an empty image
        return
    assert on_meta(made, (image,)) == (outputs, 2 * made.work((image,), outputs).macs)


@pytest.mark.torch
def test_partial_windows_count_as_in_torch(on_meta: Callable[..., Any]) -> None:
    for size, window, stride in itertools.product(range(1, 8), range(1, 5), range(1, 5)):
        for padding in range(window // 2 + 1):
            made = MaxPool2d((window, window), (stride, stride), (padding,) * 4, ceil=True)
            image = TensorSpec((1, 1, size, size))
            try:
                outputs = made.infer(image)
            except ShapeError:
                with pytest.raises(RuntimeError, match="too small"):
                    on_meta(made, (image,))
                continue
            assert on_meta(made, (image,))[0] == outputs, (size, window, stride, padding)


def _counts(made: Operator, image: TensorSpec) -> tuple[int, int]:
    """(MACs, elements written), or zeros where the image is too small."""
    try:
        work = made.work((image,), made.infer(image))
    except ShapeError:
        return 0, 0
    return work.macs, work.elements_written


@bounded
@given(case=st.one_of(convolutions(), transposed(), pools()), more=st.integers(1, 5), axis=st.sampled_from([2, 3]))
def test_a_larger_image_never_costs_less(case: tuple[Operator, TensorSpec], more: int, axis: int) -> None:
    made, image = case
    shape = list(image.shape)
    shape[axis] += more
    small, large = _counts(made, image), _counts(made, TensorSpec(tuple(shape)))
    assert large[0] >= small[0]
    assert large[1] >= small[1]


@bounded
@given(case=convolutions(), times=st.integers(2, 4))
def test_more_channels_cost_more(case: tuple[Operator, TensorSpec], times: int) -> None:
    made, image = case
    shape = list(image.shape)
    shape[1] *= times
    wider = TensorSpec(tuple(shape))
    macs, _ = _counts(made, image)
    # the weights of a depthwise convolution grow with the channels; a dense one has `times` as many products an output
    assert _counts(made, wider)[0] == times * macs
    if hasattr(made, "out_channels"):
        more_out = dataclasses.replace(made, out_channels=times * made.out_channels)
        assert _counts(more_out, image)[0] == times * macs


@bounded
@given(case=st.one_of(convolutions(), transposed(), pools()), times=st.integers(2, 1000))
def test_counts_scale_with_the_batch_and_parameters_do_not(case: tuple[Operator, TensorSpec], times: int) -> None:
    made, image = case
    try:
        one = made.work((image,), made.infer(image))
    except ShapeError:
        return
    many_images = TensorSpec((times * image.shape[0], *image.shape[1:]))
    many = made.work((many_images,), made.infer(many_images))
    for name in ("macs", "other_flops", "elements_read", "elements_written"):
        assert getattr(many, name) == times * getattr(one, name), name
    for name in ("parameters", "n", "k", "groups", "taps", "stride", "spatial"):
        assert getattr(many, name) == getattr(one, name), name


@bounded
@given(image=images, kernel=st.integers(1, 7), stride=st.integers(1, 4), channels=st.integers(1, 8))
def test_same_gives_the_ceiling_of_size_over_stride(image: tuple[int, int, int], kernel: int, stride: int, channels: int) -> None:
    batch, height, width = image
    outputs = convolution(3, channels, kernel, stride).infer(TensorSpec((batch, 3, height, width)))
    assert outputs[0].shape == (batch, channels, -(-height // stride), -(-width // stride))


@bounded
@given(image=images, size=pairs(1, 20))
def test_adaptive_pooling_adds_each_element_of_each_window(image: tuple[int, int, int], size: tuple[int, int]) -> None:
    batch, height, width = image
    inputs = (TensorSpec((batch, 3, height, width)),)
    made = AdaptiveAvgPool2d(size)
    rows = [range(i * height // size[0], -(-(i + 1) * height // size[0])) for i in range(size[0])]
    columns = [range(i * width // size[1], -(-(i + 1) * width // size[1])) for i in range(size[1])]
    assert made.work(inputs, made.infer(*inputs)).other_flops == batch * 3 * sum(map(len, rows)) * sum(map(len, columns))
