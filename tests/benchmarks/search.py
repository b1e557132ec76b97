"""How quickly tables of search spaces are compiled and evaluated. Prints CPU time and ratios, asserts nothing.

    python -m tests.benchmarks.search [--candidates 1000]

For every space but NAS-Bench-201 (whose options are whole networks, each estimated: minutes) and each of four targets: CPU seconds to compile the
table, candidates per CPU-second, and the largest relative difference from the estimates of so many random candidates.

Two plain look-ups stand beside it in the same run: for each candidate a dictionary is asked for each layer, by a key made of its shapes and fields in
words, as once-for-all's released code does (github.com/mit-han-lab/once-for-all, its latency estimators), or by the ready layer itself.
Promised: MnasNet's space compiles within 60 s, 5 million candidates per CPU-second, 100 times the dictionary; and the exact
front of MnasNet's space within 60 s.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import costmodel
from costmodel.search import LatencyTable, Space, exact, space
from costmodel.search.exact import Objective

SPACES = ("mnasnet", "mobilenet-v3", "fbnet", "efficientnetv2")
TARGETS: tuple[dict[str, Any], ...] = (
    {"device": "pixel4"},
    {"device": "rtx4090"},
    {"device": "rtx4090", "runtime": "torch-compile"},
    {"device": "xeon-e5-2690"},
)
MANY, FEW = 1_000_000, 5_000
QUANTITIES = ("latency_s", "macs", "parameters", "traffic_bytes", "peak_activation_bytes")


def seconds(call: Any) -> tuple[float, Any]:
    """CPU seconds of a call, and what it returns."""
    start = time.process_time()
    result = call()
    return time.process_time() - start, result


def difference(table: LatencyTable, candidates: int) -> float:
    """The largest relative difference between table and estimates."""
    x = table.space.sample(candidates, seed=1)
    found = {name: getattr(table, name)(x) for name in QUANTITIES}
    worst = 0.0
    for number, row in enumerate(x):
        report = costmodel.estimate(table.space.graph(row), target=table.target)
        worst = max([worst, *(abs(values[number] / getattr(report, name) - 1) for name, values in found.items())])
    return worst


Layers = list[list[tuple[Any, ...]]]


def in_words(layer: tuple[Any, ...]) -> str:
    """The key of a layer in words."""
    return type(layer).__name__ + "-" + "-".join(f"{name}:{value}" for name, value in zip(layer._fields, layer, strict=True))  # type: ignore[attr-defined]  # layers are named tuples


def by_words(layers: Layers, x: list[list[int]], known: dict[Any, float]) -> list[float]:
    """The sum of the dictionary's figures for each candidate, by keys in words."""
    return [sum([known[in_words(layer)] for block, choice in enumerate(row) for layer in layers[block][choice]]) for row in x]


def by_layer(layers: Layers, x: list[list[int]], known: dict[Any, float]) -> list[float]:
    """The same by the ready layers."""
    return [sum([known[layer] for block, choice in enumerate(row) for layer in layers[block][choice]]) for row in x]


def dictionaries(searched: Space, x: list[list[int]]) -> tuple[float, float]:
    """Candidates per CPU-second by dictionary: by words, by ready layers. Its figures do not matter for its speed."""
    layers: Any = [[option.layers for option in block.options] for block in searched.blocks]
    every = {layer for block in layers for option in block for layer in option}
    spent, _ = seconds(lambda: by_words(layers, x, {in_words(layer): 1e-3 for layer in every}))
    ready, _ = seconds(lambda: by_layer(layers, x, dict.fromkeys(every, 1e-3)))
    return len(x) / spent, len(x) / ready


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--candidates", type=int, default=100)
    candidates: int = parser.parse_args().candidates
    for name in SPACES:
        searched = space(name)
        many = searched.sample(MANY, seed=0)
        words, ready = dictionaries(searched, many[:FEW].tolist())
        print(f"{name}: {searched.size:.3g} candidates; by dictionary {words:,.0f} a CPU-second, {ready:,.0f} if keys are ready")
        for options in TARGETS:
            compiled, table = seconds(lambda: LatencyTable(searched, costmodel.target(**options)))  # noqa: B023 # called at once
            rate = MANY / min(seconds(lambda: table.latency_s(many))[0] for _ in range(3))  # noqa: B023 # called at once
            print(
                f"  {' '.join(options.values()):24} compiled in {compiled:5.2f} s from {table.priced} layers; {rate / 1e6:5.1f} million a CPU-second, "
                f"{rate / words:5.0f} x and {rate / ready:4.0f} x; difference over {candidates}: {difference(table, candidates):.1e}"
            )
    table = LatencyTable(space("mnasnet"), costmodel.target("pixel4"))
    spent, found = seconds(lambda: exact.front(table, ["latency_s", Objective("parameters", maximise=True)]))
    print(f"mnasnet on pixel4: exact front of latency and parameters, {len(found.values)} candidates in {spent:.2f} s")


if __name__ == "__main__":
    main()
