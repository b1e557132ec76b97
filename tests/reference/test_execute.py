"""Every network of the zoo, executed by torch: inferred shapes of every operator, and MACs by torch's own counter."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from costmodel import reference, zoo
from costmodel.errors import UsageError
from costmodel.graph import GraphBuilder, Node
from costmodel.ops.convolution import convolution
from costmodel.ops.elementwise import ReLU
from costmodel.ops.normalisation import BatchNorm
from costmodel.tensor import TensorSpec
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
    assert counter.get_total_flops() == 2 * graph.macs


#: Networks of every family at a size that runs on a CPU in about a second.
REAL = (
    *("lenet-5", "alexnet", "vgg-11@64", "googlenet@96", "googlenet-bn@96", "inception-v3@139", "inception-v4@139", "squeezenet-1.0@96"),
    *("squeezenet-1.1@96", "resnet-18@64", "resnet-50@64", "resnet-50-v1@64", "preresnet-18@64", "se-resnet-50@64", "resnext-50-32x4d@64"),
    *("densenet-121@64", "xception@96", "regnet-x-400mf@64", "regnet-y-400mf@64", "mobilenet-v1@64", "mobilenet-v2@64", "mobilenet-v3-large@64"),
    *("mobilenet-v3-small@64", "mobilenet-v3-large-minimalistic@64", "mnasnet-a1@64", "mnasnet-b1@64", "mnasnet-small@64", "efficientnet-b0@64"),
    *("efficientnet-lite0@64", "efficientnet-edgetpu-s@64", "efficientnetv2-b0@64", "efficientnetv2-s@64", "shufflenet-v1-1.0-g3@64"),
    *("shufflenet-v2-1.0@64", "ghostnet@64", "proxylessnas-mobile@64", "fbnet-c@64", "vit-b-32@64", "deit-ti@32", "swin-t@64", "convnext-t@64"),
    *("mobilevit-xxs@64", "nasnet-a-mobile@96", "nfnet-f0@64", "espnetv2-0.5@64", "espnet-c@64x128", "espnet@64x128", "enet@64x128", "erfnet@64x128"),
    *("segnet@64x128", "deeplabv3-mobilenet-v2@65", "lraspp-mobilenet-v3-small@129", "ssdlite-mobilenet-v2@320", "yolov2@96", "hourglass-1@64"),
)


@pytest.mark.parametrize("name", REAL)
def test_networks_run_on_the_cpu(name: str) -> None:
    graph = zoo.build(name)
    outputs = reference.execute(graph)
    assert [tuple(output.shape) for output in outputs] == [graph.spec(ref).shape for ref in graph.outputs]
    assert all(bool(torch.isfinite(output).all()) for output in outputs)


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


def test_a_network_in_training_is_torchs_own() -> None:
    builder = GraphBuilder("block")
    x = builder.input("image", TensorSpec((4, 3, 8, 8)))
    y = builder.add(BatchNorm(1e-3), builder.add(convolution(3, 6, 3, padding="same"), x, name="conv"), name="norm")
    graph = builder.build(builder.add(ReLU(), y, name="relu"))
    weights = reference.random_weights(graph, seed=3)
    ours = reference.trainable(graph, weights=weights)
    theirs = torch.nn.Sequential(torch.nn.Conv2d(3, 6, 3, padding=1, bias=False), torch.nn.BatchNorm2d(6, eps=1e-3), torch.nn.ReLU())
    theirs[0].weight.data.copy_(weights["conv"]["weight"])
    optimisers = [torch.optim.SGD(module.parameters(), lr=0.1) for module in (ours, theirs)]
    for seed in range(3):
        images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
        for module, optimiser in zip((ours, theirs), optimisers, strict=True):
            optimiser.zero_grad()
            module(images).square().mean().backward()
            optimiser.step()
    torch.testing.assert_close(ours.eval()(images), theirs.eval()(images))
    assert not reference.execute(graph, [images], weights)[0].requires_grad


@pytest.mark.parametrize("kind", [WorkKind.CONVOLUTION, WorkKind.POINTWISE, WorkKind.BATCH_NORM])
def test_measuring_covers_every_operator(kind: WorkKind) -> None:
    graph = zoo.build("resnet-18@32")
    found = reference.measure(graph, repeats=3, attempts=1, allow_contention=True)
    assert [entry.name for entry in found.operators] == [node.name for node in graph.nodes]
    assert found.by_kind()[kind] > 0
    assert found.latency_s > 0


@pytest.mark.parametrize("inputs", [[], [torch.zeros(1, 3, 32, 32)], [torch.zeros(1, 1, 32, 32)] * 2, torch.zeros(1, 1, 32, 32), {"image": None}])
def test_inputs_that_do_not_fit_are_refused(inputs: object) -> None:
    with pytest.raises(UsageError, match=r"lenet-5 takes .*\(1, 1, 32, 32\)"):
        reference.execute(zoo.build("lenet-5"), inputs)  # type: ignore[arg-type]  # wrong on purpose
