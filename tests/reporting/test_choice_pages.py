"""The pages of comparisons and fronts without a browser: self-contained, equal to what they show, and deaf to hostile names."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import costmodel
from costmodel import api
from costmodel.cli import main
from costmodel.decisions import Figure, Front, Network, front
from costmodel.quantity import chance, duration
from costmodel.reporting.comparison import Comparison, compare
from costmodel.reporting.decisions import pareto_rows, to_csv
from costmodel.reporting.html import comparison_page, fronts_page, search_page
from costmodel.search import LatencyTable, Outcome, document, evaluators, space
from tests.reporting.test_page import HOSTILE, MOST_BYTES, hostile_graph

Read = Callable[[str], Any]


def comparison(*names: str, devices: tuple[str, ...] = ("pixel4",)) -> Comparison:
    return compare([[costmodel.estimate(name, device=device) for device in devices] for name in names])


@pytest.fixture(scope="module")
def fronts() -> tuple[Front, ...]:
    return tuple(api.pareto(["mobilenet-v3", "efficientnet-lite"], targets=[api.target(device) for device in ("pixel4", "coral-usb")]))


@pytest.fixture(scope="module")
def sources(fronts: tuple[Front, ...]) -> dict[str, str]:
    return {
        "two networks": comparison_page(comparison("mobilenet-v2", "mobilenet-v3-large")),
        "two devices": comparison_page(comparison("mobilenet-v2", devices=("pixel4", "a100"))),
        "many": comparison_page(comparison("mobilenet-v2", "resnet-50", "vit-b-16", devices=("pixel4", "a100"))),
        "alone": comparison_page(comparison("lenet-5")),
        "fronts": fronts_page(fronts),
    }


KINDS = ("two networks", "two devices", "many", "alone", "fronts")


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_loaded_and_every_script_is_named(kind: str, sources: dict[str, str], read: Read) -> None:
    found = read(sources[kind])
    assert not [tag for tag, _ in found.elements if tag in ("link", "img", "iframe", "object", "embed", "base")]
    for _, attributes in found.elements:
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith("#")
        assert not [name for name in attributes if name.startswith("on")]
    (policy,) = (attributes["content"] for _, attributes in found.elements if attributes.get("http-equiv") == "Content-Security-Policy")
    run = [text for attributes, text in found.scripts if attributes.get("id") != "data"]
    assert {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in run} == set(re.findall(r"'sha256-(.*?)'", policy))
    assert "default-src 'none'" in policy


@pytest.mark.parametrize("kind", ["two networks", "two devices", "many", "fronts"])
def test_scripts_and_labels_lead_somewhere(kind: str, sources: dict[str, str], read: Read) -> None:
    found = read(sources[kind])
    own = found.scripts[-1][1]
    asked = set(re.findall(r'(?:byId|chart)\("([a-z-]+)"', own)) | set(re.findall(r'head\("([a-z-]+)"', own))
    links = {attributes["href"][1:] for tag, attributes in found.elements if tag == "a"}
    links |= {attributes["aria-labelledby"] for _, attributes in found.elements if "aria-labelledby" in attributes}
    only_of_two = {name for name in asked if name.startswith(("pair-", "kind-"))}
    assert (asked | links) - (only_of_two if kind == "many" else set()) <= found.ids


def test_a_comparison_states_what_the_command_prints(read: Read) -> None:
    table = comparison("mobilenet-v2", "mobilenet-v3-large")
    found = read(comparison_page(table))
    assert table.difference is not None
    assert chance(table.difference.probability_faster) in found.text
    for row in table.rows:
        assert duration(row[0].latency_s) in found.text
        assert f"{row[0].target.device.sha256}" in found.text
    document = table.to_dict()
    assert found.data["document"] == json.loads(json.dumps(document | {"side_by_side": None}))
    assert [pair[2] for pair in found.data["pairs"]] == [pair["matched_by"] for pair in document["side_by_side"]["kernels"]]
    assert sum((second or [0] * 4)[3] - (first or [0] * 4)[3] for first, second, _ in found.data["pairs"]) == pytest.approx(found.data["difference_s"])


def test_the_command_of_a_comparison_gives_it_again(read: Read, capsys: pytest.CaptureFixture[str]) -> None:
    table = comparison("mobilenet-v2", "resnet-50", devices=("pixel4", "a100"))
    command = re.search(r"costmodel (compare .*?--batch \d+)", read(comparison_page(table)).text)
    assert command
    assert main([*command[1].split(), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == table.to_dict()


def test_only_two_are_set_side_by_side(sources: dict[str, str], read: Read) -> None:
    assert read(sources["many"]).data["pairs"] == []
    assert "verdict" not in read(sources["many"]).ids
    assert {"verdict", "pairs", "kinds"} <= read(sources["two devices"]).ids


def csv_of(data: Any) -> str:
    """The table that the page of fronts holds, put together as its script does."""
    columns = [[column["cells"][at] for at in column["places"]] if "places" in column else column["cells"] for column in data["table"].values()]
    return "\n".join([",".join(data["table"]), *map(",".join, zip(*columns, strict=True))]) + "\n"


def test_a_front_has_the_figures_of_its_table(fronts: tuple[Front, ...], sources: dict[str, str], read: Read) -> None:
    found = read(sources["fronts"])
    assert csv_of(found.data) == to_csv(pareto_rows(fronts))
    assert [(drawn["first"], drawn["rows"]) for drawn in found.data["fronts"]] == [(0, len(fronts[0].standings)), (len(fronts[0].standings),) * 2]
    assert all(entry.offer.network.name in found.text for front in fronts for entry in front.best)


def test_the_command_of_a_front_gives_it_again(tmp_path: Path, read: Read) -> None:
    made = api.pareto(["mobilenet-v2", "resnet-18", "enet"], targets=[api.target("pixel4", dtype="int8", threads=2)], batch=4)
    command = re.search(r"costmodel (pareto .*?)  \(--padding", fronts_page(made))
    assert command
    assert main([*command[1].split(), "-o", str(tmp_path / "a.csv")]) == 0
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == to_csv(pareto_rows(made))
    assert "costmodel pareto --device pixel4 --processor" in fronts_page(api.pareto([], targets=[api.target("pixel4")]))


def hostile_fronts() -> tuple[Front, ...]:
    """Networks whose names, families and sources are hostile, each on the front."""
    target = api.target("pixel4")
    base = api.pareto(["mobilenet-v3"], targets=[target])[0].standings[: len(HOSTILE)]
    figures = {name: Figure(percent=50.0 + at, evaluation="own", source=f'{name}, "{name}"\n') for at, name in enumerate(HOSTILE)}
    networks = [Network(name=name, family=f"_{name}", figures={"": figure}) for name, figure in figures.items()]
    offers = [replace(entry.offer, network=network) for entry, network in zip(base, networks, strict=True)]
    return (front(target, offers),)


def test_the_whole_zoo_on_four_targets_is_one_file_to_mail() -> None:
    four = api.pareto([], targets=[api.target(name, **options) for name, options in (("pixel4", {}), ("pixel4", {"dtype": "int8"}))]) * 2
    assert len(fronts_page(four).encode()) < 2 / 3 * MOST_BYTES


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_shown_and_never_obeyed(name: str, read: Read) -> None:
    report = costmodel.estimate(hostile_graph(), device="pixel4")
    made = comparison_page(compare([[report, costmodel.estimate(hostile_graph(), device="a100")]]))
    found = read(made)
    assert len(found.scripts) == made.count("<script") == made.count("</script>") == 2
    assert not [tag for tag, attributes in found.elements if tag in ("img", "svg") or any(key.startswith("on") for key in attributes)]


def test_names_of_a_front_are_shown_and_never_obeyed(read: Read) -> None:
    made = fronts_page(hostile_fronts())
    found = read(made)
    assert len(found.scripts) == made.count("<script") == made.count("</script>") == 3
    assert not [tag for tag, attributes in found.elements if tag in ("img", "svg") or any(key.startswith("on") for key in attributes)]
    assert csv_of(found.data) == to_csv(pareto_rows(hostile_fronts()))
    assert {entry["name"] for entry in found.data["families"]} == {f"_{name}" for name in HOSTILE}
    assert all(" ".join(name.split()) in found.text for name in HOSTILE)


def test_the_command_line_writes_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "map.html"
    assert main(["compare", "lenet-5", "resnet-18", "--device", "pixel4", "--json", "--html", str(path)]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["side_by_side"]["kernels"]
    assert f"wrote {path}" in printed.err
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    front = tmp_path / "front.html"
    assert main(["pareto", "mobilenet-v3", "--device", "pixel4", "-o", str(front)]) == 0
    assert front.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert main(["compare", "lenet-5", "--device", "pixel4", "--html", str(tmp_path / "no" / "map.html")]) == 1
    assert "map.html: cannot be written" in capsys.readouterr().err


def test_the_limit_holds_beside_a_page(tmp_path: Path) -> None:
    """A build that fails on a slower network still has its page."""
    path = tmp_path / "map.html"
    assert main(["compare", "resnet-18", "resnet-50", "--device", "pixel4", "--fail-on", "+5%", "--html", str(path)]) == 3
    assert path.exists()


@pytest.mark.parametrize("per", ["kind", "kernel"])
def test_the_terminal_says_where_a_difference_comes_from(per: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "mobilenet-v2", "mobilenet-v3-large", "--device", "pixel4", "--per", per, "--top", "3"]) == 0
    out = capsys.readouterr().out
    both = comparison("mobilenet-v2", "mobilenet-v3-large").side_by_side
    assert both is not None
    assert f"where the difference of -{duration(-both.difference_s)} comes from" in out
    largest = both.by_difference[0].difference_s if per == "kernel" else both.kinds[0].difference_s
    assert f"-{duration(-largest)}" in out
    assert "--top 0 lists all" in out


def searched(name: str) -> dict[str, Any]:
    """The document of a search in which everything that people name has one name."""
    small = space("small-images")
    table = LatencyTable(small, costmodel.target("pixel4"))
    evaluator = evaluators.Called(space=small, function=lambda choices: choices["stage1"]["layers"], label=name, quantity=name)
    x = small.sample(5, seed=0)
    scores, failures = evaluator.scores(x), {4: name}
    scores[4] = float("nan")
    found = Outcome(space=small, candidates=x, scores=scores, latency_s=table.latency_s(x), failures=failures, asked=5, considered=5, note=name)
    return {**document(table, evaluator, found, algorithm="random", seed=0, warnings=[name]), "space": name}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_search_loads_nothing_and_obeys_no_name(name: str, read: Read) -> None:
    made = search_page(searched(name), f"costmodel search {name}")
    found = read(made)
    assert len(found.scripts) == made.count("<script") == made.count("</script>") == 2
    (picture,) = (attributes for tag, attributes in found.elements if tag == "img")
    assert picture["src"].startswith("data:image/png;base64,")
    assert not [tag for tag, attributes in found.elements if tag in ("svg", "link", "iframe") or any(key.startswith("on") for key in attributes)]
    (policy,) = (attributes["content"] for _, attributes in found.elements if attributes.get("http-equiv") == "Content-Security-Policy")
    run = [text for attributes, text in found.scripts if attributes.get("type") != "application/json"]
    assert {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in run} == set(re.findall(r"'sha256-(.*?)'", policy))
    links = {attributes["href"][1:] for tag, attributes in found.elements if tag == "a"}
    assert links | set(re.findall(r'byId\("([a-z-]+)"', run[-1])) - {"save-json"} <= found.ids
    assert " ".join(name.split()) in " ".join(found.text.split())
