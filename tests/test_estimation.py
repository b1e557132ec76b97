"""Estimates: the contract's document, sums that must hold, sensible physics, and confidence."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

import costmodel
from costmodel.calibration.profile_text import with_values
from costmodel.devices import parse_device
from costmodel.errors import ProfileError, UnmodelledError, UsageError
from costmodel.graph import GraphBuilder
from costmodel.laws import LAUNCH_QUEUE
from costmodel.ops.stored import Embedding
from costmodel.tensor import DType, TensorSpec

TOTALS = {
    *("parameters", "macs", "other_flops", "flops", "weight_bytes", "traffic_bytes", "peak_activation_bytes", "model_file_bytes", "fits"),
    *("samples_per_s", "latency_s", "latency_low_s", "latency_high_s", "energy_j", "kernels", "operators", "modelled_operators"),
}
KERNEL = {
    *("partition", "name", "operators", "kind", "macs", "flops", "traffic_bytes", "latency_s", "compute_s", "memory_s", "overhead_s", "bound", "utilisation"),
    "basis",
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(costmodel.estimate("efficientnet-b5", device="pixel4").to_json())
    return loaded


def test_the_document_has_the_contracts_keys(document: dict[str, Any]) -> None:
    assert {key: document[key] for key in ("schema_version", "model", "input", "device", "processor", "runtime", "dtype", "threads", "cores", "batch")} == {
        "schema_version": 1,
        "model": "efficientnet-b5",
        "input": [[1, 3, 456, 456]],
        "device": "pixel4",
        "processor": "cpu",
        "runtime": "tflite",
        "dtype": "fp32",
        "threads": 1,
        "cores": "large=1",
        "batch": 1,
    }
    assert set(document["totals"]) == TOTALS
    assert all(set(kernel) == KERNEL for kernel in document["kernels"])
    assert set(document["interval"]) == {"level", "basis", "factor"}
    assert set(document["profile"]) == {"name", "version", "sha256"}
    assert document["unmodelled"] == []
    assert document["costmodel_version"] == costmodel.__version__


def test_the_totals_are_the_published_counts_and_the_sums_of_the_kernels(document: dict[str, Any]) -> None:
    totals, kernels = document["totals"], document["kernels"]
    assert (totals["parameters"], totals["macs"]) == (30_389_784, 10_266_384_752)
    assert totals["flops"] == 2 * totals["macs"] + totals["other_flops"] == sum(kernel["flops"] for kernel in kernels)
    assert totals["macs"] == sum(kernel["macs"] for kernel in kernels)
    assert totals["traffic_bytes"] == sum(kernel["traffic_bytes"] for kernel in kernels)
    assert totals["kernels"] == len(kernels)
    assert totals["latency_s"] == pytest.approx(sum(kernel["latency_s"] for kernel in kernels) + sum(document["terms"].values()), rel=1e-12)
    assert totals["latency_low_s"] < totals["latency_s"] < totals["latency_high_s"]
    assert totals["samples_per_s"] == pytest.approx(1 / totals["latency_s"])
    assert totals["fits"] is True


def latency(model: str, device: str, **options: Any) -> float:
    return costmodel.estimate(model, device=device, **options).latency_s


@pytest.mark.parametrize("device", costmodel.device_names())
def test_latency_grows_with_resolution_and_width(device: str) -> None:
    by_size = [latency(f"mobilenet-v2@{size}", device) for size in (128, 160, 192, 224, 320)]
    by_width = [latency(f"mobilenet-v2-{width}", device) for width in (0.5, 0.75, 1.0, 1.4)]
    assert by_size == sorted(by_size)
    assert by_width == sorted(by_width)


@pytest.mark.parametrize("device", [name for name in costmodel.device_names() if not name.startswith("coral")])
def test_latency_grows_with_the_batch(device: str) -> None:
    by_batch = [latency("resnet-18", device, batch=batch) for batch in (1, 2, 8, 32)]
    assert by_batch == sorted(by_batch)
    assert len(set(by_batch)) == 4


@pytest.mark.parametrize("device", costmodel.device_names())
def test_the_efficientnets_keep_their_order(device: str) -> None:
    gpu = costmodel.target(device).hardware.type == "gpu"
    for batch in (1, 16, 64) if gpu else (1,):
        ladder = [latency(f"efficientnet-b{i}", device, batch=batch) for i in range(8)]
        assert ladder == sorted(ladder)
        assert len(set(ladder)) == 8 or batch < 16


@pytest.mark.parametrize("model", ["mobilenet-v1", "mobilenet-v2", "resnet-50", "efficientnet-lite0", "vit-b-32"])
def test_int8_is_not_slower_than_fp32_where_the_profile_has_both(model: str) -> None:
    assert latency(model, "pixel4", dtype="int8") <= latency(model, "pixel4", dtype="fp32")


@pytest.mark.parametrize("model", ["mobilenet-v1", "resnet-50", "efficientnet-b0", "vit-b-16"])
def test_four_threads_beat_one_on_the_pixel4(model: str) -> None:
    assert latency(model, "pixel4", threads=4) < latency(model, "pixel4", threads=1)


def test_papers_orders_hold() -> None:
    """MobileNetV3, arXiv 1905.02244, Table 3 (Pixel 1): large 66 ms < V2 78 ms; MobileNetV2, Table 4: V2 75 ms < V1 113 ms < V2-1.4 143 ms."""
    order = [latency(model, "pixel1") for model in ("mobilenet-v3-large", "mobilenet-v2", "mobilenet-v1", "mobilenet-v2-1.4")]
    assert order == sorted(order)
    ratio = order[0] / order[1]
    assert 0.65 < ratio < 0.95  # paper: -15 %


@pytest.mark.parametrize("threads", [1, 8])
def test_resnet152_over_b1_on_the_papers_cpu(threads: int) -> None:
    """EfficientNet, arXiv 1905.11946, Table 4: 5.7 times on a core of a Xeon E5-2690; MACs alone would say 16.8."""
    assert 3 < latency("resnet-152", "xeon-e5-2690", threads=threads) / latency("efficientnet-b1", "xeon-e5-2690", threads=threads) < 12


def test_fewer_flops_can_be_slower() -> None:
    """What the tool exists to show: at batch 64 on a GPU, EfficientNet-B0 has a tenth of ResNet-50's MACs but not a tenth of its time."""
    b0, resnet = (costmodel.estimate(model, device="rtx4090", batch=64) for model in ("efficientnet-b0", "resnet-50"))
    assert b0.macs * 10 < resnet.macs
    assert b0.latency_s * 4 > resnet.latency_s


def test_an_edge_tpu_streams_only_what_does_not_fit() -> None:
    small, large = (costmodel.estimate(f"{model}", device="coral-usb") for model in ("mobilenet-v1", "resnet-50"))
    assert all(kernel.memory_s == 0 for kernel in small.kernels)
    assert any(kernel.bound == "memory" for kernel in large.kernels)
    # ResNet-50 has 25.6 MB; about 19 MB of it cross a link of 0.48 GB/s: at least 39 ms.
    assert large.latency_s > 0.039


def test_what_an_edge_tpu_cannot_run_falls_to_the_host() -> None:
    report = costmodel.estimate("vit-b-32", device="coral-devboard")
    assert report.terms["crossing"] > 0
    assert report.latency_s > costmodel.estimate("resnet-50", device="coral-devboard").latency_s


def test_a_small_batch_on_a_gpu_waits_for_the_host() -> None:
    one, many = (costmodel.estimate("efficientnet-b0", device="a100", batch=batch) for batch in (1, 256))
    assert one.terms["launch_queue"] > 0.5 * one.latency_s
    assert many.terms["launch_queue"] < 0.01 * many.latency_s
    assert one.interval.basis == "datasheet"
    assert one.interval.factor > many.interval.factor
    assert any("launch queue" in warning for warning in one.warnings)


@pytest.mark.parametrize(("device", "runtime"), [("k80", "torch-eager"), ("a100", "torch-eager"), ("a100", "torch-compile")])
def test_waiting_for_the_host_is_advised_upon_whatever_the_basis(device: str, runtime: str) -> None:
    report = costmodel.estimate("mobilenet-v2", device=device, runtime=runtime)
    assert report.terms[LAUNCH_QUEUE] > 0.05 * report.latency_s
    (advice,) = [warning for warning in report.warnings if "a larger --batch" in warning]
    offered = set(report.target.hardware.runtimes) - {runtime}
    assert ("--runtime torch-compile" in advice) == ("torch-compile" in offered)


def of_batches(batches: str) -> costmodel.Device:
    """A Pixel 4 whose rows had these batches."""
    table = ("processors", "cpu", "runtimes", "tflite-padded", "dtypes", "fp32")
    text = Path(costmodel.device("pixel4").path).read_text(encoding="utf-8")
    return parse_device(with_values(text, {table: {"measured_batches": batches}}).encode(), "pixel4.toml")


def test_a_batch_that_nothing_measured_is_carried_over() -> None:
    reports = {batch: costmodel.estimate("mobilenet-v2", device=of_batches("[4, 16]"), runtime="tflite-padded", batch=batch) for batch in (2, 4, 16, 32)}
    assert [reports[batch].interval.basis for batch in reports] == ["transferred", "calibrated", "calibrated", "transferred"]
    assert reports[2].interval.factor == pytest.approx(1.2 * reports[4].interval.factor)
    assert any("batch 2 (measured: 4 to 16)" in warning for warning in reports[2].warnings)
    assert not any("batch" in warning for warning in reports[16].warnings)
    assert [{kernel.basis for kernel in reports[batch].kernels} for batch in reports] == [{"transferred"}, {"calibrated"}, {"calibrated"}, {"transferred"}]
    one = costmodel.estimate("mobilenet-v2", device=of_batches("[1, 1]"), runtime="tflite-padded", batch=2)
    assert any("batch 2 (measured: 1)" in warning for warning in one.warnings)


def test_batches_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(ProfileError, match="measured_batches: takes the least batch, then the largest, not 16 and 4"):
        of_batches("[16, 4]")


def test_a_datasheets_figures_in_another_layout_say_so() -> None:
    report = costmodel.estimate("mobilenet-v2", device="this-machine", layout="nhwc")
    assert report.interval.basis == "datasheet"
    assert any(warning.startswith("the figures are carried over: layout nhwc") for warning in report.warnings)


def test_what_rests_on_an_assumption_says_so() -> None:
    report = costmodel.estimate("efficientnet-b0", device="pixel4")
    assumed = [kernel for kernel in report.kernels if kernel.basis == "datasheet"]
    assert {kernel.name.rpartition("/")[2] for kernel in assumed} == {"sigmoid"} | {k.name for k in assumed if k.name.endswith("gate")}
    assert report.interval.factor > costmodel.estimate("mobilenet-v1", device="pixel4").interval.factor
    assert any("assumptions" in warning for warning in report.warnings)


def test_another_layout_than_the_measured_one_says_so() -> None:
    report = costmodel.estimate("resnet-50", device="rtx4090", batch=64, layout="nhwc")
    assert report.interval.basis == "transferred"
    assert any("nhwc" in warning for warning in report.warnings)


def test_an_operator_without_a_cost_is_listed_and_fails_under_strict() -> None:
    builder = GraphBuilder("lookup")
    graph = builder.build(builder.add(Embedding(100, 16), builder.input("ids", TensorSpec((1, 8), DType.INT64))))
    report = costmodel.estimate(graph, device="pixel4", processor="edgetpu")
    assert [entry.kind for entry in report.unmodelled] == []  # the host takes it
    target = costmodel.target("pixel4", processor="gpu")
    constants = target.machine.parameters.cores["gpu"].model_copy(update={"copy_cycles_per_output": None})
    crippled = _with_constants(target, constants)
    report = costmodel.estimate(graph, target=crippled)
    assert [(entry.name, entry.kind) for entry in report.unmodelled] == [("embedding", "gather")]
    assert any("no cost" in warning for warning in report.warnings)
    with pytest.raises(UnmodelledError, match="embedding"):
        costmodel.estimate(graph, target=crippled, strict=True)


def _with_constants(target: Any, constants: Any) -> Any:
    import dataclasses

    parameters = target.machine.parameters.model_copy(update={"cores": {"gpu": constants}})
    return dataclasses.replace(target, machine=dataclasses.replace(target.machine, parameters=parameters))


def test_groups_add_up() -> None:
    report = costmodel.estimate("resnet-18", device="pixel4")
    operators, modules = report.by_operator(), report.by_module()
    assert sum(row.latency_s for row in operators) == pytest.approx(report.latency_s)
    outer = [row for row in modules if "." not in row.name]
    assert sum(row.latency_s for row in outer) == pytest.approx(report.latency_s)
    assert sum(row.share for row in outer) == pytest.approx(1.0)
    assert {row.name for row in modules} >= {"stages", "stages.0", "stages.0.0", "head"}


def test_estimates_are_immutable_and_picklable() -> None:
    report = costmodel.estimate("mobilenet-v1", device="pixel4")
    with pytest.raises(AttributeError):
        report.latency_s = 0.0  # type: ignore[misc]  # refused on purpose
    again = pickle.loads(pickle.dumps(report))
    assert again.to_json() == report.to_json()


def test_huge_batches_stay_exact() -> None:
    one, many = (costmodel.estimate("mobilenet-v1", device="pixel4", batch=batch) for batch in (1, 10**9))
    assert many.macs == 10**9 * one.macs
    assert many.parameters == one.parameters
    assert many.peak_activation_bytes == 10**9 * one.peak_activation_bytes
    assert many.fits is False
    assert any("does not fit" in warning for warning in many.warnings)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "either a device or a target"),
        ({"device": "pixel4", "target": object()}, "either a device or a target"),
        ({"device": "coral-usb", "batch": 2}, "batches of at most 1"),
        ({"device": "pixel4", "batch": 0}, "at least 1"),
        ({"device": "pixel4", "batch": -3}, "at least 1"),
    ],
)
def test_requests_that_cannot_be_meant_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        costmodel.estimate("mobilenet-v1", **options)


def test_options_of_a_zoo_network_do_not_apply_to_a_graph() -> None:
    with pytest.raises(UsageError, match="a graph, a module or a file is what it is"):
        costmodel.estimate(costmodel.build("resnet-18"), device="pixel4", classes=10)


def test_classes_and_backbone() -> None:
    full, ten = costmodel.build("resnet-50"), costmodel.build("resnet-50", classes=10)
    assert full.parameters - ten.parameters == 990 * (2048 + 1)
    assert costmodel.build("resnet-50", features_only=True).parameters == full.parameters - 1000 * (2048 + 1)


def test_a_changed_network_is_named_as_such() -> None:
    report = costmodel.estimate("resnet-18", device="pixel4", classes=10, padding="symmetric", weights="int8")
    assert report.title == "resnet-18 (10 classes, padding symmetric, weights int8)"
    assert report.to_dict()["changed"] == "10 classes, padding symmetric"
    assert costmodel.estimate("resnet-18", device="pixel4").title == "resnet-18"


def test_classes_of_a_network_without_its_head_are_refused() -> None:
    with pytest.raises(UsageError, match="exclude each other"):
        costmodel.estimate("resnet-18", device="pixel4", classes=10, features_only=True)


def test_a_network_takes_exactly_as_long_as_itself() -> None:
    first, second = (costmodel.estimate("mobilenet-v2", device="pixel4") for _ in range(2))
    found = costmodel.compare(first, second)
    assert (found.ratio_low, found.ratio, found.ratio_high, found.probability_faster) == (1.0, 1.0, 1.0, 0.5)
    assert costmodel.compare(first, costmodel.estimate("mobilenet-v2@256", device="pixel4")).ratio_low < 1.3
