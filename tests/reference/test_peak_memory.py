"""Peak activation memory against what torch itself holds alive while it runs the same graph."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from costmodel import reference, zoo
from costmodel.lowering import lower, rule_set

pytestmark = pytest.mark.torch

NETWORKS = (
    *("vgg-11", "vgg-16", "googlenet-bn", "inception-v3", "resnet-18", "resnet-50", "densenet-121", "xception", "squeezenet-1.1", "mobilenet-v1"),
    *("mobilenet-v2", "mobilenet-v3-large", "mnasnet-a1", "efficientnet-b0", "efficientnet-b3", "efficientnetv2-s", "shufflenet-v2-1.0", "vit-b-16"),
    *("deit-ti", "convnext-t", "regnet-y-400mf", "resnext-50-32x4d"),
)


class LiveSet(TorchDispatchMode):
    """Bytes of the storages made while it is active, as long as anyone refers to them; the largest sum is `peak`.

    `outside` are storages that do not count: weights, of which operators make views.
    """

    def __init__(self, outside: set[int]) -> None:
        super().__init__()
        self.outside = outside
        self.held: dict[int, tuple[StorageWeakRef, int]] = {}
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                storage = leaf.untyped_storage()
                if storage._cdata in self.outside:
                    continue
                self.held[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        self.held = {key: entry for key, entry in self.held.items() if not entry[0].expired()}
        self.peak = max(self.peak, sum(nbytes for _, nbytes in self.held.values()))
        return result


@pytest.mark.parametrize("name", NETWORKS)
def test_peak_agrees_with_torchs_live_set(name: str) -> None:
    # torch's own form: with TensorFlow's padding, torch must copy every image that is padded on one side only
    graph = zoo.build(name, padding="symmetric")
    weights = reference.random_weights(graph)
    outside = {tensor.untyped_storage()._cdata for tensors in weights.values() for tensor in tensors.values()}
    with LiveSet(outside) as live:
        reference.execute(graph, weights=weights)
    predicted = lower(graph, rule_set("torch-eager"), "fp32").peak_activation_bytes
    assert predicted == pytest.approx(live.peak, rel=0.05)
