"""Every network of the zoo, executed by torch: inferred shapes of every operator, and MACs by torch's own counter."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from costmodel import reference, zoo
from costmodel.graph import Node
from costmodel.work import WorkKind

pytestmark = pytest.mark.torch

NETWORKS = sorted(zoo.architectures())


@pytest.mark.parametrize("name", NETWORKS)
def test_shapes_and_macs_on_the_meta_device(name: str) -> None:
    graph = zoo.build(name)
    wrong: list[str] = []

    def check(node: Node, compute: Any) -> Any:
        result = compute()
        produced = result if isinstance(result, tuple | list) else (result,)
        shapes = [tuple(tensor.shape) for tensor in produced]
        if shapes != [spec.shape for spec in node.outputs]:
            wrong.append(f"{node.name}: torch gives {shapes}, inferred {[spec.shape for spec in node.outputs]}")
        return result

    with FlopCounterMode(display=False) as counter:
        reference.execute(graph, device="meta", observer=check)
    assert wrong == []
    # torch's counter does not know recurrent layers: their MACs are checked against the formula in the conformance tests.
    recurrent = sum(node.work.macs for node in graph.nodes if str(node.work.kind) == "recurrent")
    assert counter.get_total_flops() == 2 * (graph.macs - recurrent)


#: Small enough to run on a CPU in seconds: (network, resolution); whole numbers of patches or strides where a network wants them.
REAL = {name: "@64" for name in NETWORKS if zoo.find(name).architecture.default_resolution[0] <= 331} | {"lenet-5": "", "vit-b-16": "@64"}
HEAVY = ("vit-h-14", "vit-l-16", "nfnet", "efficientnet-l2", "amoebanet", "nasnet-a-large", "pnasnet", "swin", "coatnet", "mobilevit", "lenet", "alexnet")


@pytest.mark.parametrize("name", [name for name in REAL if not name.startswith(HEAVY)])
def test_networks_run_on_the_cpu(name: str) -> None:
    fully_convolutional = name.startswith(("vgg", "deit", "vit", "inception", "xception", "nasnet", "squeezenet", "googlenet", "densenet"))
    resolution = {"vgg": "@64", "deit": "@32", "vit": "@64"}.get(name.partition("-")[0], "@96" if fully_convolutional else "@64")
    graph = zoo.build(f"{name}{resolution}", classes=7)
    (output, *_) = reference.execute(graph)
    assert tuple(output.shape) == graph.spec(graph.outputs[0]).shape
    assert bool(torch.isfinite(output).all())


def test_weights_are_the_same_for_the_same_seed() -> None:
    graph = zoo.build("mobilenet-v2-0.35@96")
    first, again, other = (reference.random_weights(graph, seed=seed)["stem"]["weight"] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_graph_as_a_module_trains_and_has_the_graphs_parameters() -> None:
    graph = zoo.build("resnet-18@32", classes=3, padding="symmetric")
    module = reference.as_module(graph)
    assert sum(parameter.numel() for parameter in module.parameters()) == graph.parameters
    assert module(torch.zeros(1, 3, 32, 32)).shape == (1, 3)


@pytest.mark.parametrize("kind", [WorkKind.CONVOLUTION, WorkKind.POINTWISE, WorkKind.BATCH_NORM])
def test_measuring_covers_every_operator(kind: WorkKind) -> None:
    graph = zoo.build("resnet-18@32")
    found = reference.measure(graph, repeats=3, attempts=1, allow_contention=True)
    assert [entry.name for entry in found.operators] == [node.name for node in graph.nodes]
    assert found.by_kind()[kind] > 0
    assert found.latency_s > 0
