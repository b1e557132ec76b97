"""Spaces: sizes as in their papers, networks of the zoo as candidates, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import costmodel
from costmodel.errors import UnknownNameError, UsageError
from costmodel.search import Block, Option, Space, space, spaces
from costmodel.search.layers import Classifier, Conv, MBConv
from costmodel.search.spaces import nas_bench_201
from costmodel.zoo import efficientnetv2, fbnet


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("mnasnet", 432**5),  # arXiv 1807.11626, section 4.1
        ("mobilenet-v3", (9**2 + 9**3 + 9**4) ** 5),  # arXiv 1908.09791, section 4.1
        ("fbnet", 9**16 * 8**6),  # 22 places, of which six cannot be left out: four strides and two other changes of channels
    ],
)
def test_sizes(name: str, size: int) -> None:
    found = space(name)
    assert found.size == size


@pytest.mark.parametrize("name", spaces())
def test_candidates_have_words_and_networks(name: str) -> None:
    found = space(name)
    x = found.sample(3, seed=5)
    assert x.tolist() == found.sample(3, seed=5).tolist() != found.sample(3, seed=6).tolist()
    for row in x:
        assert found.encode(found.decode(row)).tolist() == row.tolist()
    first, second = found.graph(x[0]), found.graph(x[0], batch=3)
    assert first.parameters == second.parameters
    assert second.macs == 3 * first.macs
    assert len(found.fingerprint) == 16


def test_fbnet_c_is_a_candidate() -> None:
    places = {1: 1, 2: 4, 3: 4, 4: 4, 5: 4, 6: 4, 7: 1}
    chosen = {}
    for (number, count), stage in zip(places.items(), fbnet.STAGES, strict=True):
        for place in range(count):
            name = "skip" if place >= len(stage.blocks) else "k{}_e{}".format(*stage.blocks[place])
            chosen[f"stage{number}-{place}"] = {"block": name}
    made, known = space("fbnet").graph(space("fbnet").encode(chosen)), costmodel.build("fbnet-c")
    assert (made.parameters, made.macs, made.other_flops) == (known.parameters, known.macs, known.other_flops)


def test_efficientnetv2_s_is_a_candidate() -> None:
    chosen = [
        {"convolution": "fused" if stage.fused else "mbconv", "kernel_size": 3, "expansion": stage.expansion, "layers": stage.repeats}
        for stage in efficientnetv2.SMALL
    ]
    found = space("efficientnetv2")
    made, known = found.graph(found.encode(chosen)), costmodel.build("efficientnetv2-s")
    assert (made.parameters, made.macs, made.other_flops) == (known.parameters, known.macs, known.other_flops)


def test_cells_without_a_path_are_left_out() -> None:
    none = ("none",) * 6
    assert nas_bench_201.used(("conv1", "none", "none", "none", "none", "conv3")) == none  # 0-1 and 2-3 do not meet
    assert nas_bench_201.used(("conv1", "pool", "none", "skip", "none", "none")) == ("none", "none", "none", "skip", "none", "none")
    full = ("conv1", "pool", "conv3", "skip", "conv1", "pool")
    assert nas_bench_201.used(full) == full
    # without a path: edge 0-3 is none, and so is one of each pair of the paths 0-1-3 and 0-2-3 and one of the three of 0-1-2-3
    alive, by_hand = 4, 0
    for mask in range(32):
        a, b, c, d, e = ((mask >> bit) & 1 for bit in range(5))  # 0-1, 1-3, 0-2, 2-3, 1-2
        by_hand += 0 if (a and b) or (c and d) or (a and e and d) else alive ** (a + b + c + d + e)
    assert space("nas-bench-201").size == 5**6 - by_hand


def test_what_is_no_candidate_is_refused(small: Space) -> None:
    with pytest.raises(UnknownNameError, match="unknown search space 'mnasnt'; did you mean mnasnet"):
        space("mnasnt")
    with pytest.raises(UsageError, match=r"an integer array \(number, 3\), not int64 \(3,\)"):
        small.checked(np.array([0, 0, 0]))
    with pytest.raises(UsageError, match=r"not float64 \(1, 3\)"):
        small.checked([[0.0, 0.0, 0.0]])
    with pytest.raises(UsageError, match="block 'three' of small has choices 0 to 2, not 3"):
        small.graph([0, 0, 3])
    with pytest.raises(UsageError, match="choices 0 to 5, not -1"):
        small.decode([0, -1, 0])
    words = small.decode([0, 0, 0])
    with pytest.raises(UsageError, match=r"block 'one' of small has no option \{'width': 17"):
        small.encode({**words, "one": {**words["one"], "width": 17}})
    with pytest.raises(UsageError, match="nothing is chosen for block 'two'"):
        small.encode({"one": words["one"], "three": words["three"]})
    with pytest.raises(UnknownNameError, match="unknown block of small 'thre'; did you mean three"):
        small.encode({**words, "thre": {}})


def test_what_is_no_space_is_refused() -> None:
    option, named = Option((Conv(8),), ()), {"name": "s", "resolution": (8, 8), "stem": (Conv(8),), "head": (Classifier(8),)}
    with pytest.raises(UsageError, match="has 0 options"):
        Block(name="b", options=())
    with pytest.raises(UsageError, match="two options with the same fields"):
        Block(name="b", options=(option, option))
    with pytest.raises(UsageError, match="at least one block"):
        Space(**named, blocks=())
    with pytest.raises(UsageError, match="names of blocks must differ"):
        Space(**named, blocks=(Block(name="stem", options=(option,)),))
    with pytest.raises(UsageError, match="without a head block 'b' cannot be left out"):
        Space(**{**named, "head": ()}, blocks=(Block(name="b", options=(Option((), ()),)),))
    with pytest.raises(UsageError, match="has no lasting name"):
        _ = Space(**named, blocks=(Block(name="b", options=(Option((lambda net, x: x,), ()),)),)).fingerprint
    with pytest.raises(UnknownNameError, match="unknown activation 'relu7'"):
        Space(**named, blocks=(Block(name="b", options=(Option((MBConv(8, activation="relu7"),), ()),)),)).graph([0])
