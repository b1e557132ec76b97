"""One network of every family that is tried: counts equal torch's own, and every call is known."""

from __future__ import annotations

import pytest
import torch

from costmodel.importers.torch import count_module, import_module
from tests.importers.torch.helpers import difference, learned, macs_of_torch, unknown_operators
from tests.importers.torch.networks import NETWORKS, OPTIONS, input_shape
from tests.peers import peer, randomise

pytestmark = [pytest.mark.torch, pytest.mark.peers]

#: The cells of NASNet and the unrolled recurrence of Sequencer take long; the benchmark tries them.
SLOW = ("timm:nasnetalarge", "timm:sequencer2d_s")
FIRST = [models[0] for families in NETWORKS.values() for models in families.values() if models[0] not in SLOW]


def test_the_list_is_as_wide_as_promised() -> None:
    assert len(FIRST) >= 60
    assert len({family for families in NETWORKS.values() for family in families}) >= 60


@pytest.mark.parametrize("model", FIRST)
def test_counts_equal_torchs(model: str) -> None:
    network = peer(model, device="meta", **OPTIONS.get(model, {}))
    shape = input_shape(model, network)
    graph = import_module(network, [shape]).graph
    assert graph.macs == macs_of_torch(network, [torch.empty(shape, device="meta")])
    assert graph.parameters == learned(network)
    assert unknown_operators(graph) == []
    assert graph.notes == ()


#: Networks with what tidying rewrites (position biases, masks, merged patches, standardised filters, shuffles, padding, packed q, k and v)
#: and the side of the image that they are tried on.
REWRITTEN = {
    "torchvision:swin_t": 112,
    "timm:swin_tiny_patch4_window7_224": 224,
    "timm:coatnet_0_224": 224,
    "timm:nfnet_l0": 64,
    "timm:dm_nfnet_f0": 64,
    "torchvision:shufflenet_v2_x0_5": 64,
    "timm:tf_efficientnet_b0": 75,
    "timm:vit_tiny_patch16_224": 224,
    "timm:mobilevit_xxs": 64,
}


@pytest.mark.parametrize("model", REWRITTEN)
def test_outputs_equal_the_modules(model: str) -> None:
    torch.manual_seed(0)
    network = peer(model)
    randomise(network)
    shape = (2, 3, REWRITTEN[model], REWRITTEN[model])
    images = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        first, second = network(images)
    assert (first - second).abs().max() > 0.01 * first.abs().max()  # the output depends on the image: equality means something
    assert difference(import_module(network, [shape]), network, [images]) < 1e-4


def test_vit_b_16_by_every_route() -> None:
    network = peer("torchvision:vit_b_16", device="meta")
    macs = import_module(network, [(1, 3, 224, 224)]).graph.macs
    assert macs == count_module(network, [(1, 3, 224, 224)]).macs == macs_of_torch(network, [torch.empty(1, 3, 224, 224, device="meta")])
    assert f"{macs / 1e9:.2f}" == "17.56"
