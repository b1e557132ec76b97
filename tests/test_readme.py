"""What the README shows is what the program prints.

``python -m tests.test_readme`` writes both generated blocks anew.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import shlex
from collections import defaultdict
from pathlib import Path
from typing import Any

import click
import pytest

import costmodel
import costmodel.operator as operators
from costmodel.cli import main
from tests.golden.test_measured_rows import Row, rows

README = Path(__file__).parent.parent / "README.md"
EXAMPLE = ["analyze", "efficientnet-b5", "--device", "pixel4", "--top", "6"]
#: Target -> its words in the table.
SHOWN = {
    ("pixel4", "cpu", "tflite-padded", "fp32", "large=1"): "Pixel 4, one large core, fp32 (`tflite-padded`)",
    ("pixel4", "cpu", "tflite-padded", "fp32", "medium=1"): "Pixel 4, one medium core, fp32 (`tflite-padded`)",
    ("pixel4", "cpu", "tflite-padded", "fp32", "medium=2"): "Pixel 4, two medium cores, fp32 (`tflite-padded`)",
    ("pixel4", "cpu", "tflite-padded", "fp32", "medium=3"): "Pixel 4, three medium cores, fp32 (`tflite-padded`)",
    ("pixel4", "cpu", "tflite-padded", "fp32", "large=1,medium=1"): "Pixel 4, a large and a medium core, fp32 (`tflite-padded`)",
    ("pixel4", "cpu", "tflite-padded", "fp32", "small=1"): "Pixel 4, one small core, fp32 (`tflite-padded`)",
    ("pixel4", "cpu", "tflite-padded", "int8", "large=1"): "Pixel 4, one large core, int8 (`tflite-padded`)",
    ("pixel4", "gpu", "tflite-gpu-padded", "fp16", ""): "Pixel 4, GPU, fp16 (`tflite-gpu-padded`)",
    ("pixel4", "cpu", "tflite", "fp32", "large=1,medium=3"): "Pixel 4, four cores, fp32, another laboratory (`tflite`)",
    ("pixel4", "cpu", "tflite", "int8", "large=1,medium=3"): "Pixel 4, four cores, int8, another laboratory (`tflite`)",
    ("pixel4", "gpu", "tflite-gpu", "fp16", ""): "Pixel 4, GPU, fp16, another laboratory (`tflite-gpu`)",
    ("pixel4", "edgetpu", "edgetpu", "int8", ""): "Pixel 4, Edge TPU, int8",
    ("pixel1", "cpu", "tflite", "fp32", "large=1"): "Pixel 1, one large core, fp32 (`tflite`)",
    ("coral-usb", "edgetpu", "edgetpu", "int8", ""): "Coral USB, int8",
    ("coral-devboard", "edgetpu", "edgetpu", "int8", ""): "Coral Dev Board, int8",
}


def example() -> str:
    """The output of the README's example, in a pipe of 100 columns."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()), pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "100")
        assert main(EXAMPLE) == 0
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def errors() -> str:
    """The README's table of errors: every target that has measured rows."""
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows():
        groups[row.target].append(row)
    assert set(groups) == set(SHOWN)
    lines = []
    for target, words in SHOWN.items():
        found = [abs(row.error) for row in groups[target]]
        lines.append(f"| {words} | {len(found)} | {sum(found) / len(found):.1%} | {max(found):.1%} |")
    return "\n".join(lines)


def blocks() -> tuple[str, str]:
    """(example, table) as the README has them now."""
    text = README.read_text(encoding="utf-8")
    shown = re.search(r"^\$ costmodel .*\n((?:.*\n)*?)```", text, re.MULTILINE)
    table = re.search(r"\|---\|---\|---\|---\|\n((?:\|.*\n)*)", text)
    assert shown
    assert table
    return shown[1].rstrip("\n"), table[1].rstrip("\n")


def test_the_example_is_what_the_program_prints() -> None:
    assert blocks()[0] == example()


def test_the_table_of_errors_is_what_the_rows_give() -> None:
    assert blocks()[1] == errors()


def test_the_two_commands_each_set_up_everything() -> None:
    commands = [line for line in README.read_text(encoding="utf-8").splitlines() if line.startswith("python3 -m venv")]
    assert len(commands) == 2
    assert commands[0].endswith("costmodel analyze efficientnet-b5 --device pixel4")
    assert "pytest" in commands[1]


def commands() -> list[str]:
    """Every command line of the README's code blocks and of its code in running text, without comments."""
    text = README.read_text(encoding="utf-8")
    lines = [line.strip().removeprefix("$ ") for block in re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL) for line in block.splitlines()]
    lines += re.findall(r"`(costmodel [^`]+)`", text)
    return [line.partition(" #")[0].strip() for line in lines if line.startswith("costmodel ")]


def test_every_command_that_is_shown_exists_with_its_options() -> None:
    shown = commands()
    assert any(line.startswith("costmodel kit") for line in shown)
    for line in shown:
        name, *arguments = shlex.split(line)[1:]
        command = importlib.import_module(f"costmodel.cli.{name}").command
        if not isinstance(command, click.Group):
            words = [word.removesuffix("...") or "X" for word in arguments]
            command.make_parser(click.Context(command, help_option_names=["-h", "--help"])).parse_args(words)  # raises on an option that there is not


@pytest.mark.torch
def test_the_operator_of_ones_own_is_counted_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(operators, "_REGISTRY", dict(operators._REGISTRY))  # forgotten afterwards
    (code,) = re.findall(r"```python\n(from costmodel\.operator import.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})

    class Spectrum(torch.nn.Module):  # type: ignore[misc]  # torch is loaded here only
        def forward(self, x: Any) -> Any:
            return torch.fft.fft(x)

    graph = costmodel.from_torch(Spectrum(), [(3, 64)])
    report = costmodel.estimate(graph, device="pixel4")
    counts = costmodel.count(Spectrum(), [(3, 64)])
    assert graph.other_flops == report.other_flops == counts.other_flops == 5 * 6 * 3 * 64  # log2(64) is 6
    assert (report.unmodelled, dict(counts.unmodelled)) == ((), {})
    assert report.traffic_bytes == 4 * 2 * 3 * 64  # a read and a write


if __name__ == "__main__":
    shown, table = blocks()
    content = README.read_text(encoding="utf-8").replace(shown, example()).replace(table, errors())
    README.write_text(content, encoding="utf-8")


def test_a_tflite_file_gives_the_graph_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("torch", "tflite"):
        pytest.importorskip(package)
    (code,) = re.findall(r"(from costmodel\.importers\.tflite import.*?)\n(read_tflite.*?)\n```", README.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names = {"graph": costmodel.build("mobilenet-v3-small")}
    exec(code[0], names)
    assert eval(code[1], names) is True
    exec(code[0].replace('"net.tflite")', '"net.tflite", dtype="int8")'), names)
    assert eval('(read_tflite("net.tflite").precision, read_tflite("net.tflite").nodes == graph.nodes)', names) == ("int8", True)
