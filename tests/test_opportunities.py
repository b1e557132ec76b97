"""Opportunities are re-estimates: each is applied again here and compared."""

from __future__ import annotations

import dataclasses

import pytest

import costmodel
from costmodel import edits, estimation
from costmodel.estimation import Estimate
from costmodel.graph import GraphBuilder
from costmodel.opportunities import LEAST_SHARE, opportunities
from costmodel.ops.elementwise import HardSwish, SiLU
from costmodel.ops.matmul import Linear
from costmodel.tensor import TensorSpec

CASES = [
    ("efficientnet-b3", "pixel4"),
    ("efficientnet-b0", "rtx4090"),
    ("mobilenet-v3-large", "coral-usb"),
    ("resnet-50", "xeon-e5-2690"),
    ("vit-b-16", "a100"),
]


@pytest.mark.parametrize(("network", "device"), CASES)
def test_each_is_what_the_changed_network_or_target_costs(network: str, device: str) -> None:
    report = costmodel.estimate(network, device=device)
    found = opportunities(report)
    assert found
    assert [entry.saved_s for entry in found] == sorted((entry.saved_s for entry in found), reverse=True)
    assert len({entry.title for entry in found}) == len(found)
    for entry in found:
        again = estimation.estimate(entry.graph, entry.target)
        assert entry.latency_s == again.latency_s
        assert entry.saved_s == report.latency_s - again.latency_s >= LEAST_SHARE * report.latency_s
        assert (entry.basis, entry.factor) == (again.interval.basis, again.interval.factor)
        assert (entry.macs, entry.parameters) == (again.macs, again.parameters)
        changed = entry.graph != report.graph, entry.target != report.target
        assert changed in ((True, False), (False, True)), "one change at a time"
        assert entry.needs == "training" or entry.graph.macs == report.macs


def test_the_changes_that_people_ask_about() -> None:
    titles = {entry.title: entry for entry in opportunities(costmodel.estimate("efficientnet-b3", device="pixel4"))}
    assert {"int8 instead of fp32", "hard-swish instead of SiLU", "@288 instead of @300", "GPU instead of CPU", "no squeeze-and-excitation"} <= set(titles)
    assert titles["int8 instead of fp32"].target.dtype == "int8"
    assert titles["@288 instead of @300"].graph == edits.resize_input(costmodel.build("efficientnet-b3"), 288, 288)
    assert titles["hard-swish instead of SiLU"].graph == edits.replace_nonlinearity(costmodel.build("efficientnet-b3"), SiLU, HardSwish())
    partial = next(entry for title, entry in titles.items() if title.startswith("no squeeze-and-excitation in "))
    everything = titles["no squeeze-and-excitation"]
    assert everything.saved_s / 2 <= partial.saved_s < everything.saved_s


def test_channels_of_a_multiple_of_eight_save_where_matrix_units_need_them() -> None:
    report = costmodel.estimate("efficientnet-b0", device="rtx4090", runtime="torch-compile", dtype="fp16", batch=64)
    title = "channels rounded up to a multiple of 8"
    assert title in {entry.title for entry in opportunities(_with_odd_channels(report))}


def _with_odd_channels(report: Estimate) -> Estimate:
    """The estimate of the network with 196 for 192 channels, which no matrix unit takes well."""
    replaced = {
        node.name: dataclasses.replace(node.operator, out_channels=196)
        for node in report.graph.nodes
        if getattr(node.operator, "out_channels", 0) == 192  # type: ignore[type-var]  # every operator is a dataclass
    }
    return estimation.estimate(edits.rewritten(report.graph, replaced=replaced), report.target)


def test_folding_normalisations_saves_where_each_is_a_kernel() -> None:
    titles = {entry.title: entry for entry in opportunities(costmodel.estimate("resnet-50", device="xeon-e5-2690"))}
    folded = titles["batch normalisations folded into convolutions"]
    assert folded.needs == "same outputs"
    phone = {entry.title for entry in opportunities(costmodel.estimate("resnet-50", device="pixel4"))}
    assert "batch normalisations folded into convolutions" not in phone, "the runtime folds them itself"


def test_weights_in_another_format_stay_in_it() -> None:
    report = costmodel.estimate("mobilenet-v2", device="pixel4", weights="int8")
    for entry in opportunities(report):
        assert entry.latency_s == estimation.estimate(entry.graph, entry.target, weights="int8").latency_s


def test_nothing_to_gain_is_an_empty_list() -> None:
    builder = GraphBuilder("one")
    graph = builder.build(builder.add(Linear(8), builder.input("rows", TensorSpec((1, 8)))))
    assert opportunities(costmodel.estimate(graph, device="titan-x")) == ()
