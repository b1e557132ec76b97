"""The page of an estimate, without a browser: self-contained, equal to the estimate, and deaf to hostile names."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import costmodel
from costmodel import estimation
from costmodel.cli import main
from costmodel.devices import hypothetical
from costmodel.errors import printable
from costmodel.estimation import Estimate
from costmodel.graph import Graph, GraphBuilder
from costmodel.opportunities import opportunities
from costmodel.ops.convolution import Conv2d
from costmodel.ops.layout import Flatten
from costmodel.ops.unknown import Unknown
from costmodel.quantity import binary, duration, duration_between
from costmodel.reporting.html import _timeline, page
from costmodel.reporting.html._data import unpacked
from costmodel.reporting.html._modules import MOST_CHILDREN, module_tree
from costmodel.reporting.html._whatif import FACTORS, grid
from costmodel.tensor import DType, TensorSpec

Read = Callable[[str], Any]
#: A page is one file that people mail and attach.
MOST_BYTES = 1_500_000
HOSTILE = (
    "</script><script>window.pwned=1</script>",
    '<img src=x onerror="window.pwned=1">',
    "\"><svg onload='window.pwned=1'>",
    "<!--<script>",
    "${window.pwned=1}`",
    "{{ 7 * 7 }}",
    "emoji 😀 and an é",
    "n" * 500,
    "line\u2028separator",
)


@pytest.fixture(scope="module")
def report() -> Estimate:
    return costmodel.estimate("efficientnet-b0", device="pixel4")


@pytest.fixture(scope="module")
def source(report: Estimate) -> str:
    return page(report)


def hostile_graph() -> Graph:
    builder = GraphBuilder(HOSTILE[0])
    x = builder.input("x", TensorSpec((1, 16, 8, 8)))
    for name in HOSTILE:
        x = builder.add(Conv2d(16, (3, 3)), x, name=name)
    return builder.build(x)


def test_nothing_is_loaded_from_elsewhere(source: str, read: Read) -> None:
    found = read(source)
    assert not [tag for tag, _ in found.elements if tag in ("link", "img", "iframe", "object", "embed", "base")]
    for _, attributes in found.elements:
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith("#")
        assert not [name for name in attributes if name.startswith("on")]
    (style,) = re.findall(r"<style>(.*?)</style>", source, re.DOTALL)
    assert "url(" not in style
    assert "@import" not in style
    scripts = " ".join(text for attributes, text in found.scripts if attributes.get("id") != "data")
    assert set(re.findall(r"https?://[^\"'` ]*", scripts)) <= {
        f"http://www.w3.org/{name}" for name in ("1999/xlink", "2000/svg", "2000/xmlns/", "XML/1998/namespace")
    }


def test_the_policy_forbids_requests_and_names_every_script(source: str, read: Read) -> None:
    found = read(source)
    (policy,) = (attributes["content"] for tag, attributes in found.elements if attributes.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    allowed = set(re.findall(r"'sha256-(.*?)'", rules["script-src"]))
    run = [text for attributes, text in found.scripts if attributes.get("id") != "data"]
    assert {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in run} == allowed
    assert len(run) == 3
    assert "unsafe" not in rules["script-src"]


def test_scripts_ask_for_elements_that_exist(source: str, read: Read) -> None:
    (own,) = (text for _, text in read(source).scripts if '"use strict";\nconst' in text or "// Data, numbers" in text)
    asked = set(re.findall(r'(?:byId|chart)\("([a-z-]+)"', own))
    assert len(asked) > 20
    assert asked <= read(source).ids


def test_labels_and_links_lead_somewhere(source: str, read: Read) -> None:
    found = read(source)
    named = [attributes[name] for _, attributes in found.elements for name in ("for", "aria-labelledby") if name in attributes]
    named += [attributes["href"][1:] for tag, attributes in found.elements if tag == "a"]
    assert set(named) <= found.ids


def test_it_carries_the_licences_of_its_scripts(source: str, read: Read) -> None:
    text = read(source).text
    for words in (
        "Apache ECharts Copyright",
        "Apache License Version 2.0",
        "Copyright (c) 2017, Baidu Inc.",
        "Copyright (c) 2012-2014 Chris Pettitt",
        "Mike Bostock",
    ):
        assert words in text


@pytest.mark.parametrize(("network", "device"), [("efficientnet-b5", "pixel4"), ("efficientnet-b5", "rtx4090"), ("densenet-201", "coral-usb")])
def test_it_is_small_and_holds_the_estimate(network: str, device: str, read: Read) -> None:
    report = costmodel.estimate(network, device=device)
    made = page(report)
    assert len(made.encode()) < MOST_BYTES
    assert unpacked(read(made).data) == json.loads(report.to_json())


@pytest.mark.parametrize("flat", [False, True])
def test_five_thousand_operators_fit(flat: bool, chain: Callable[..., Graph], read: Read) -> None:
    report = costmodel.estimate(chain(5000, flat=flat), device="pixel4")
    made = page(report)
    data = read(made).data
    assert len(made.encode()) < MOST_BYTES
    assert unpacked(data) == json.loads(report.to_json())
    assert len(data["operators"]["names"]) == len(report.graph) + 1


def test_the_headline_is_the_estimate(report: Estimate, source: str, read: Read) -> None:
    text = read(source).text
    for words in (
        f"{report.model} on Google Pixel 4",
        duration(report.latency_s),
        f"90% between {duration_between(report.latency_low_s, report.latency_high_s)}",
        binary(report.peak_activation_bytes),
        f"{report.macs:,}",
        f"{report.parameters:,}",
        f"{report.modelled_operators} of {report.operators} operators modelled, in {len(report.kernels)} kernels",
        report.target.device.sha256,
        "costmodel analyze efficientnet-b0 --device pixel4 --processor cpu --runtime tflite --dtype fp32 --cores large=1 --layout nhwc --batch 1",
        *report.warnings,
    ):
        assert " ".join(words.split()) in text


def test_the_command_gives_the_same_estimate_again(report: Estimate, source: str, read: Read, capsys: pytest.CaptureFixture[str]) -> None:
    command = re.search(r"costmodel (analyze .*?--batch \d+)", read(source).text)
    assert command
    assert main([*command[1].split(), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == report.to_dict()


def test_opportunities_stand_in_their_order(report: Estimate, source: str, read: Read) -> None:
    found = opportunities(report)
    text = read(source).text
    places = [text.index(f"{entry.title} {entry.detail}") for entry in found]
    assert places == sorted(places)
    for entry in found:
        assert duration(entry.saved_s) in text
        assert duration(entry.latency_s) in text


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_shown_and_never_obeyed(name: str, read: Read) -> None:
    graph = hostile_graph()
    report = estimation.estimate(graph, costmodel.target("pixel4"), changed=name)
    made = page(report)
    found = read(made)
    assert len(found.scripts) == made.count("<script") == made.count("</script>") == 4
    assert not [tag for tag, attributes in found.elements if tag in ("img", "svg") or any(key.startswith("on") for key in attributes)]
    assert printable(name) in found.data["operators"]["names"]
    assert " ".join(name.split()) in found.text
    assert "49" not in re.findall(r"<title>(.*?)</title>", made)[0]


def test_a_command_with_a_hostile_name_is_quoted(read: Read) -> None:
    builder = GraphBuilder("$(reboot); x")
    graph = builder.build(builder.add(Conv2d(8), builder.input("x", TensorSpec((1, 3, 8, 8)))))
    assert "costmodel analyze '$(reboot); x' --device" in read(page(costmodel.estimate(graph, device="pixel4"))).text


def test_what_has_no_cost_is_loud(read: Read) -> None:
    builder = GraphBuilder("foreign")
    x = builder.add(Conv2d(8), builder.input("x", TensorSpec((1, 3, 8, 8))), name="conv")
    graph = builder.build(builder.add(Unknown("my::op", ((1, 8, 8, 8),), (DType.FP32,)), x, name="mine"))
    text = read(page(costmodel.estimate(graph, device="pixel4"))).text
    assert "1 kernel has no cost here" in text
    assert "unmodelled mine (my::op)" in text
    assert "1 of 2 operators modelled" in text


def test_a_network_that_computes_nothing_has_a_page(read: Read) -> None:
    builder = GraphBuilder("view")
    graph = builder.build(builder.add(Flatten(), builder.input("x", TensorSpec((1, 3, 8, 8)))))
    report = costmodel.estimate(graph, device="pixel4")
    assert unpacked(read(page(report)).data) == report.to_dict()


@pytest.mark.parametrize(("device", "options"), [("pixel4", {"cores": "large=1,medium=3"}), ("rtx4090", {}), ("coral-usb", {}), ("xeon-e5-2690", {"batch": 3})])
def test_sliders_give_what_python_estimates(device: str, options: dict[str, Any]) -> None:
    report = costmodel.estimate("mobilenet-v3-small", device=device, **options)
    found = grid(report)
    factors = found["factors"]
    assert factors == list(FACTORS)
    own = next(entry for entry in found["batches"] if entry["batch"] == report.batch)
    assert own["latency_s"][factors.index(1.0)][factors.index(1.0)] == report.latency_s
    assert own["peak_activation_bytes"] == report.peak_activation_bytes
    for entry in found["batches"]:
        graph = report.graph.with_batch(entry["batch"])
        every = itertools.product(factors, factors) if entry is own else ((0.25, 4.0), (2.0, 1.0), (1.0, 0.5), (0.65, 1.25), (4.0, 4.0))
        for peak, bandwidth in every:
            again = estimation.estimate(graph, hypothetical(report.target, peak=peak, bandwidth=bandwidth))
            place = factors.index(peak), factors.index(bandwidth)
            assert entry["latency_s"][place[0]][place[1]] == again.latency_s
            for bound in ("compute", "memory"):
                assert entry[bound][place[0]][place[1]] == pytest.approx(again.bound_shares[bound], abs=5e-5)


def test_sliders_offer_only_batches_that_the_target_takes() -> None:
    assert [entry["batch"] for entry in grid(costmodel.estimate("mobilenet-v2", device="coral-usb"))["batches"]] == [1]
    assert [entry["batch"] for entry in grid(costmodel.estimate("mobilenet-v2", device="rtx4090", batch=8))["batches"]] == [1, 4, 8, 16, 64, 256]


def test_the_grid_of_an_enormous_network_is_coarser(chain: Callable[..., Graph]) -> None:
    found = grid(costmodel.estimate(chain(6000), device="pixel4"))
    assert 1.0 in found["factors"]
    assert len(found["factors"]) < len(FACTORS)


def test_memory_over_time_has_the_peak_of_the_estimate(report: Estimate, source: str, read: Read) -> None:
    memory = read(source).data["memory"]
    assert len(memory["live_bytes"]) == len(report.kernels)
    assert memory["live_bytes"][memory["peak_at"]] == max(memory["live_bytes"]) == report.peak_activation_bytes
    assert sum(buffer["nbytes"] for buffer in memory["at_peak"]) == report.peak_activation_bytes
    assert memory["others"] == 0


def test_ceilings_are_the_machine(report: Estimate, source: str, read: Read) -> None:
    ceilings = read(source).data["ceilings"]
    assert {dtype: peak["flops_per_s"] for peak in ceilings["peaks"] for dtype in peak["dtypes"]} == dict(report.target.machine.peak_flops_per_s)
    assert [level["bytes_per_s"] for level in ceilings["levels"]] == [level.bytes_per_s for level in report.target.machine.levels]


def test_edges_are_those_of_the_graph(report: Estimate, source: str, read: Read) -> None:
    operators = read(source).data["operators"]
    names = operators["names"]
    pairs = [(names[a], names[b]) for a, b in zip(operators["edges"][::2], operators["edges"][1::2], strict=True)]
    assert pairs == [(ref.node, node.name) for node in report.graph.nodes for ref in node.arguments]


@pytest.mark.parametrize("count", [1, MOST_CHILDREN, MOST_CHILDREN + 1, 5000])
def test_no_module_has_more_children_than_can_be_drawn(count: int) -> None:
    modules, of = module_tree([f"op{number}" for number in range(count)])
    children = [0] * len(modules)
    for position in (*of, *(module["parent"] for module in modules[1:])):
        children[position] += 1
    assert sum(children) == count + len(modules) - 1
    assert max(children) <= max(MOST_CHILDREN, -(-count // MOST_CHILDREN))
    assert of == sorted(of), "consecutive operators stay together"


def test_an_estimate_writes_its_page_and_still_travels(report: Estimate, source: str, tmp_path: Path) -> None:
    report.to_html(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == source
    again = pickle.loads(pickle.dumps(report))
    assert again == report
    assert again.graph == report.graph


def test_the_command_line_writes_a_page_beside_its_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "page.html"
    assert main(["analyze", "lenet-5", "--device", "pixel4", "--json"]) == 0
    plain = capsys.readouterr().out
    assert main(["analyze", "lenet-5", "--device", "pixel4", "--json", "--html", str(path)]) == 0
    found = capsys.readouterr()
    assert found.out == plain
    assert f"wrote {path}" in found.err
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_page_that_cannot_be_written_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "no" / "such" / "page.html"
    assert main(["analyze", "lenet-5", "--device", "pixel4", "--html", str(missing)]) == 1
    assert f"{missing}: cannot be written: No such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize(("network", "device", "lanes"), [("mobilenet-v2", "pixel4", 1), ("resnet-50", "coral-usb", 4), ("squeezenet-1.1", "v100", 2)])
def test_the_timeline_is_the_simulations(network: str, device: str, lanes: int) -> None:
    report = costmodel.estimate(network, device=device)
    timeline = costmodel.simulate(network, device=device)
    drawn = _timeline.drawing(report)
    assert [lane.name for lane in drawn.lanes] == [engine.name for engine in timeline.engines]
    assert len(drawn.lanes) == lanes
    assert drawn.makespan == duration(timeline.makespan_s)
    times = f"{timeline.makespan_s / timeline.estimate_s:.3f} times the estimate"
    assert drawn.beside == ("as estimated" if timeline.makespan_ps == timeline.estimate_ps else times)
    assert bool(drawn.illustrative) == timeline.illustrative
    for lane in drawn.lanes:
        assert all(first.x + first.width <= second.x + _timeline.LEAST for first, second in itertools.pairwise(lane.bars))
        assert all(bar.x >= 0 and bar.x + bar.width <= _timeline.WIDTH + _timeline.LEAST for bar in lane.bars)
    assert max(bar.x + bar.width for lane in drawn.lanes for bar in lane.bars) == pytest.approx(_timeline.WIDTH, abs=_timeline.LEAST)
    text = page(report)
    section = text.partition('<section id="timeline"')[2].partition("</section>")[0]
    assert section.count('style="left:') == sum(len(lane.bars) for lane in drawn.lanes)
    assert drawn.makespan in section
    assert ("Illustrative:" in section) == timeline.illustrative
    assert "too small" not in section


def test_the_timeline_says_what_a_memory_that_is_too_small_lacks() -> None:
    report = costmodel.estimate("vgg-16", device="raspberry-pi-zero-2w")
    drawn = _timeline.drawing(report)
    assert (drawn.makespan, drawn.beside) == (duration(report.latency_s), "as estimated")
    assert "transfer" not in drawn.kinds
    missing = report.peak_activation_bytes + 2 * report.weight_bytes - 2**29
    assert f"the memory of 512 MiB is too small by {binary(missing)}: what moving bytes in and out would cost is left out here" in drawn.facts
