"""A search for real: networks for scikit-learn's digits within a latency on this machine, trained and measured here.

    costmodel calibrate -o here.toml
    python -m tests.benchmarks.search_digits --device here.toml -o reports/search.md

Searches the space for small images by TPE, each candidate trained for a few epochs; the folder `--folder` keeps every trial, so that a run that was
interrupted goes on. Then the five best are measured here, beside what was predicted, and trained from three seeds: the winner is the best of them on
validation images. It is trained anew on training and validation images together, from three seeds, and so are hand-made networks of the same predicted
latency: one convolution everywhere, as wide as the winner's latency and the space allow; of them too the one that validates best is taken. What is compared is
the accuracy on test images by which nothing was chosen. Needs a quiet machine, torch, and the extra search; asserts nothing.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import costmodel
from costmodel import measuring, reference
from costmodel.devices import Target
from costmodel.graph import Graph
from costmodel.search import LatencyTable, Outcome, Space, find, space
from costmodel.search.evaluators import Images, Part, Recipe, Trained, images, train
from costmodel.search.layers import Conv, FusedMBConv, MBConv

SEEDS = (0, 1, 2)
MEASURED = 5
#: Of the digits for training and validation: as many to choose by as to train on, and two fifths to compare the winner by.
SHARES = (0.3, 0.3)
#: Channels of the first stage of the widest hand-made network: those of the space.
WIDEST = 32
#: What is executed to measure a runtime of this machine's profile; torch's eager mode otherwise.
BACKEND_OF = {runtime: name for name, runtime in measuring.RUNTIME_OF.items()}


class Baseline(NamedTuple):
    """A hand-made network: the same layer everywhere, in so many layers a stage, as wide as fits."""

    name: str
    graph: Graph
    width: int


class Final(NamedTuple):
    """A network trained from every seed: mean accuracy on validation images, by which it is chosen, and accuracies on test images, in percent."""

    name: str
    graph: Graph
    validation: float
    accuracies: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean over seeds."""
        return statistics.fmean(self.accuracies)


class Row(NamedTuple):
    """One of the best candidates: its score in the search, the mean of three seeds on validation images, and its latencies."""

    place: int
    name: str
    score: float
    again: float
    predicted_s: float
    measured_s: float


def hand_made(kind: str, width: int, layers: int, like: Space, batch: int) -> Graph:
    """The network of a kind: stem, three stages of `layers` layers of `width`, 1.5 and 2 times as many channels, classifier."""

    def layer(channels: int, stride: int) -> Any:
        if kind == "plain":
            return Conv(channels, 3, stride)
        return MBConv(channels, 3, stride, 4, "relu") if kind == "mbconv" else FusedMBConv(channels, 3, stride, 4, "relu")

    net = like.net(f"{kind}-{layers}x{width}", batch=batch)
    x = net.image
    for number, made in enumerate(like.stem):
        with net.scope(f"stem.{number}"):
            x = made(net, x)
    for stage, (times, stride) in enumerate(((2, 1), (3, 2), (4, 2))):
        for number in range(layers):
            with net.scope(f"stage{stage}.{number}"):
                x = layer(max(1, width * times // 2), stride if number == 0 else 1)(net, x)
    for number, made in enumerate(like.head):
        with net.scope(f"head.{number}"):
            x = made(net, x)
    return net.finish(x)


def baselines(like: Space, target: Target, limit_s: float, batch: int) -> list[Baseline]:
    """For each kind and depth the widest hand-made network within the limit; kinds that are never within it are left out."""
    found = []
    for kind in ("plain", "mbconv", "fused"):
        for layers in (1, 2):
            widths = [
                width for width in range(2, WIDEST + 1) if costmodel.estimate(hand_made(kind, width, layers, like, batch), target=target).latency_s <= limit_s
            ]
            if widths:
                found.append(Baseline(f"{kind}, {layers} a stage, {max(widths)} channels", hand_made(kind, max(widths), layers, like, batch), max(widths)))
    return found


def validated(graph: Graph, data: Images, recipe: Recipe) -> float:
    """Mean accuracy on validation images in percent, over seeds, after training on training images alone."""
    return 100 * statistics.fmean(train(graph.with_batch(recipe.batch), data, recipe._replace(seed=seed)).validation for seed in SEEDS)


def finals(name: str, graph: Graph, data: Images, recipe: Recipe, validation: float) -> Final:
    """Train on training and validation images, test on the others; early stopping has nothing to look at, so none is done."""
    together = Part(np.concatenate([data.training.images, data.validation.images]), np.concatenate([data.training.labels, data.validation.labels]))
    whole = Images(name=data.name, classes=data.classes, training=together, validation=data.test, test=data.test)
    accuracies = []
    for seed in SEEDS:
        tell(f"{name}, seed {seed}")
        accuracies.append(100 * train(graph.with_batch(recipe.batch), whole, recipe._replace(seed=seed, patience=recipe.epochs), last=True).test)
    return Final(name, graph, validation, tuple(accuracies))


def measured_s(graph: Graph, target: Target, *, busy: bool) -> float:
    """Seconds of the network here under the target's runtime."""
    backend = BACKEND_OF.get(target.runtime, "torch")
    options: dict[str, Any] = {"threads": target.threads, "repeats": 31, "attempts": 6, "allow_contention": busy}
    if backend == "torch":
        return reference.measure(graph, **options).latency_s
    return measuring.measure_whole(graph, backend, **options).latency_s


def tell(text: str) -> None:
    """Progress on stderr."""
    print(f"\r{text:70}", end="", file=sys.stderr)


def report(options: argparse.Namespace, found: Outcome, table: LatencyTable, rows: list[Row], made: list[Final], spent: float) -> str:
    """The report's text; the winner is the first of `made`."""
    median = statistics.median(abs(row.predicted_s / row.measured_s - 1) for row in rows)
    winner, *others = made
    rival = max(others, key=lambda final: final.validation)
    within = sum(row.measured_s <= options.target_ms * 1e-3 for row in rows)
    apart = (winner.mean - rival.mean) / 100 * options.tested
    lines = [
        "# A search for real: digits within a latency on this machine",
        "",
        f"Regenerate with `{options.calibrate}` and `{options.command}` on a quiet machine. {found.considered} candidates of {table.space.size:,} were "
        f"trained on scikit-learn's digits by {options.algorithm} (seed {options.seed}) within {options.target_ms:g} ms on one thread of this machine "
        f"({table.target.device.profile.chip}, {table.target.runtime}, batch {table.batch}), "
        f"in {spent / 60:.1f} minutes{options.gone_on} with everything below; {len(found.failures)} failed, {found.asked} were proposed.",
        "",
        f"Over the {len(rows)} best the median error of the predicted latency is {median:.1%}; {within} of them were measured within the target.",
        "",
        f"| candidate | validation accuracy, % | mean of seeds {SEEDS[0]} to {SEEDS[-1]}, % | predicted, ms | measured, ms | error |",
        "|---|---|---|---|---|---|",
        *(
            f"| {row.name} | {row.score:.2f} | {row.again:.2f} | {row.predicted_s * 1e3:.3f} | {row.measured_s * 1e3:.3f} | "
            f"{row.predicted_s / row.measured_s - 1:+.1%} |"
            for row in rows
        ),
        "",
        f"The winner's test accuracy is {winner.mean:.2f} %, that of the hand-made network of the same predicted latency that validates best "
        f"({rival.name}) {rival.mean:.2f} %: means of {len(SEEDS)} seeds, trained on training and validation images together, tested on "
        f"{options.tested} images that no choice was made by. That is {apart:.1f} images apart, of which three seeds cannot tell much.",
        "",
        f"| network | validation, % | test, {', '.join(f'seed {seed}' for seed in SEEDS)}, % | test, mean, % | predicted, ms | MACs | parameters |",
        "|---|---|---|---|---|---|---|",
    ]
    for final in made:
        cost = costmodel.estimate(final.graph, target=table.target)
        cells = ", ".join(f"{accuracy:.2f}" for accuracy in final.accuracies)
        lines.append(
            f"| {final.name} | {final.validation:.2f} | {cells} | {final.mean:.2f} | {cost.latency_s * 1e3:.3f} | {cost.macs:,} | {cost.parameters:,} |"
        )
    words = searched_words(found, max(rows, key=lambda row: row.again).place)
    return "\n".join([*lines, "", f"The winner's choices: {words}."])


def searched_words(found: Outcome, place: int) -> str:
    """The choices of a candidate."""
    choices = found.space.decode(found.candidates[place])
    return "; ".join(f"{block}: {', '.join(f'{name} {value}' for name, value in fields.items())}" for block, fields in choices.items())


def main(options: argparse.Namespace) -> str:
    """Search, measure, train anew; the report."""
    start = time.perf_counter()
    options.gone_on = " after the trials of a run before," if (Path(options.folder) / "search.journal").is_file() else ""
    target = costmodel.target(options.device, runtime=options.runtime, threads=1)
    searched, data = space("small-images"), images("digits", shares=SHARES)
    table = LatencyTable(searched, target, batch=options.batch)
    evaluator = Trained(space=searched, images=data, recipe=Recipe(epochs=options.epochs))
    folder = Path(options.folder)
    found = find(
        table,
        evaluator,
        algorithm=options.algorithm,
        trials=options.trials,
        seed=options.seed,
        target_s=options.target_ms * 1e-3,
        folder=folder,
        resume=(folder / "search.journal").is_file(),
        progress=lambda now: tell(f"{len(now.candidates)} of {options.trials}, best {now.scores[now.best()].max(initial=0):.2f} %"),
    )
    rows = []
    for place in map(int, found.best(MEASURED)):
        graph = searched.graph(found.candidates[place], batch=options.batch)
        name = " ".join(map(str, found.candidates[place]))
        tell(f"{name}: measured, and trained from {len(SEEDS)} seeds")
        real = measured_s(graph, target, busy=options.allow_contention)
        again = validated(graph, data, evaluator.recipe)
        rows.append(Row(place, name, float(found.scores[place]), again, float(found.latency_s[place]), real))
    winner = max(rows, key=lambda row: row.again)
    recipe = Recipe(epochs=options.final_epochs)
    made = [finals(f"the winner, {winner.name}", searched.graph(found.candidates[winner.place], batch=options.batch), data, recipe, winner.again)]
    for baseline in baselines(searched, target, winner.predicted_s, options.batch):
        made.append(finals(baseline.name, baseline.graph, data, recipe, validated(baseline.graph, data, evaluator.recipe)))
    options.tested = len(data.test.labels)
    return report(options, found, table, rows, made, time.perf_counter() - start)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="this-machine", help="this-machine, or the profile that costmodel calibrate wrote")
    parser.add_argument("--runtime", default="torch-eager")
    parser.add_argument("--target-ms", type=float, default=0.4)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--algorithm", default="tpe", choices=("tpe", "nsga2", "random"))
    parser.add_argument("--trials", type=int, default=150)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--final-epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", default="search-digits", help="keeps the trials")
    parser.add_argument("--allow-contention", action="store_true", help="measure on a busy machine too: to try the script")
    parser.add_argument("-o", "--output", help="write the report here; without it, it is printed")
    given = parser.parse_args()
    given.calibrate = f"costmodel calibrate -o {given.device}" if given.device.endswith(".toml") else "nothing calibrated"
    given.command = " ".join(["python -m tests.benchmarks.search_digits", *sys.argv[1:]])
    text = main(given)
    if given.output:
        Path(given.output).write_text(text + "\n", encoding="utf-8")
    print(text)
