"""Proxies and training on the executed graph."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import costmodel
from costmodel import reference
from costmodel.errors import InvalidFileError, UsageError
from costmodel.search import Block, Option, Space, space
from costmodel.search.evaluators import GradientNorm, Images, Naswot, Part, Probe, Recipe, Synflow, Trained, images, train
from costmodel.search.layers import Classifier, Conv

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small tensors: threads that wait for each other on a busy machine take a hundred times as long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def digits() -> Images:
    pytest.importorskip("sklearn", reason="the digits are scikit-learn's (extra search)")
    return images("digits")


def tiny(activation: str = "relu", classes: int = 3) -> Space:
    """One convolution of 4 or 8 channels on 4x4 pixels, and a classifier."""
    options = tuple(Option((Conv(width, 3, 1, activation),), (("width", width),)) for width in (4, 8))
    return Space(name="tiny", resolution=(4, 4), channels=1, stem=(), blocks=(Block(name="one", options=options),), head=(Classifier(0, classes),))


def test_naswot_by_hand() -> None:
    searched = tiny()
    probe = Probe(space=searched, samples=6, seed=1)
    module = probe.module(np.array([0]))
    seen: list[Any] = []

    def keep(node: Any, compute: Any) -> Any:
        made = compute()
        if node.name.endswith("conv_activation"):
            seen.append((made > 0).reshape(6, -1).numpy())
        return made

    with torch.no_grad():
        module(probe.batch(3)[0], observer=keep)
    (codes,) = seen
    kernel = np.array([[codes.shape[1] - np.sum(one != other) for other in codes] for one in codes], float)
    assert Naswot(probe=probe).scores(np.array([[0]]))[0] == pytest.approx(np.linalg.slogdet(kernel)[1], rel=1e-6)


def test_naswot_needs_a_nonlinearity() -> None:
    with pytest.raises(UsageError, match=r"tiny: candidate \[0\] has none of relu, relu6"):
        Naswot(probe=Probe(space=tiny(""))).scores(np.array([[0]]))


def test_synflow_by_hand() -> None:
    # for a network that is linear in positive weights R is homogeneous in each layer's weights: each layer's sum of w dR/dw is R, and two layers have weights
    searched = tiny()
    graph = searched.graph([0])
    positive = {node: {name: tensor.abs().double() for name, tensor in own.items()} for node, own in reference.random_weights(graph).items()}
    module = reference.trainable(graph, weights=positive).double().eval()
    r = float(module(torch.ones(1, 1, 4, 4, dtype=torch.float64)).sum().detach())
    assert Synflow(space=searched).scores(np.array([[0]]))[0] == pytest.approx(math.log(2 * r), rel=1e-6)


def test_the_gradient_norm_is_the_slope() -> None:
    searched = tiny()
    probe = Probe(space=searched, samples=5, seed=2)
    module = probe.module(np.array([1]))
    shown, labels = probe.batch(3)

    def loss() -> float:
        return float(torch.nn.functional.cross_entropy(module(shown).double(), labels).detach())

    squares = [0.0, 0.0]
    for place, weight in enumerate(w for w in module.parameters() if w.dim() > 1):
        flat = weight.data.view(-1)
        for position in range(len(flat)):
            flat[position] += 1e-3
            up = loss()
            flat[position] -= 2e-3
            squares[place] += ((up - loss()) / 2e-3) ** 2
            flat[position] += 1e-3
    assert GradientNorm(probe=probe).scores(np.array([[1]]))[0] == pytest.approx(sum(map(math.sqrt, squares)), rel=0.02)


@pytest.mark.parametrize("make", [lambda s: Naswot(probe=Probe(space=s)), lambda s: Synflow(space=s), lambda s: GradientNorm(probe=Probe(space=s))])
@pytest.mark.parametrize("name", ["mnasnet", "mobilenet-v3", "fbnet", "efficientnetv2"])
def test_proxies_of_every_space_are_the_same_for_a_seed(make: Any, name: str) -> None:
    searched = space(name).on(channels=3, resolution=(32, 32), classes=10)
    x = np.array([[0] * len(searched.blocks), [1] * len(searched.blocks)])
    found = make(searched).scores(x)
    assert np.isfinite(found).all()
    assert found[0] != found[1]
    assert found.tolist() == pytest.approx(make(searched).scores(x).tolist(), rel=1e-4)


def test_proxies_look_at_images(digits: Images) -> None:
    searched = space("small-images")
    x = searched.sample(1, seed=0)
    shown, noise = (Naswot(probe=Probe(space=searched, images=data)) for data in (digits, None))
    assert shown.scores(x)[0] != noise.scores(x)[0]
    assert shown.name != noise.name


def test_digits_are_learned(digits: Images) -> None:
    assert digits.shape == (1, 8, 8)
    numbers = [len(part.labels) for part in (digits.training, digits.validation, digits.test)]
    assert sum(numbers) == 1797
    assert numbers[0] == pytest.approx(0.6 * 1797, abs=6)
    searched = space("small-images")
    evaluator = Trained(space=searched, images=digits, recipe=Recipe(epochs=3))
    (score,) = evaluator.scores(searched.sample(1, seed=0))
    assert 80 < score <= 100
    assert "digits" in evaluator.name
    assert evaluator.name != Trained(space=searched, images=digits).name


def test_the_shares_of_a_data_set(digits: Images) -> None:
    other = images("digits", shares=(0.3, 0.3))
    assert [len(part.labels) for part in (other.training, other.validation, other.test)] == pytest.approx([0.3 * 1797, 0.3 * 1797, 0.4 * 1797], abs=6)
    assert other.name != digits.name
    for part in (digits.training, digits.validation, digits.test):
        assert np.bincount(part.labels) == pytest.approx(np.full(10, len(part.labels) / 10), rel=0.05)
    whole = np.concatenate([part.images for part in (digits.training, digits.validation, digits.test)]).reshape(1797, -1)
    assert len(np.unique(whole, axis=0)) == len(np.unique(np.round(whole, 4), axis=0)) == 1797  # no image is in two parts
    with pytest.raises(UsageError, match=r"must be positive and less than 1 together, not 0\.8 and 0\.2"):
        images("digits", shares=(0.8, 0.2))


def separable(numbers: tuple[int, ...], *, shuffled: bool = False) -> Images:
    """Images whose brightness is their class; `shuffled` labels cannot be learned."""
    rng = np.random.default_rng(0)
    parts = []
    for number in numbers:
        labels = np.arange(number) % 3
        pixels = (labels[:, None, None, None] + rng.normal(0, 0.1, (number, 1, 4, 4))).astype(np.float32) - 1
        parts.append(Part(pixels, rng.permutation(labels) if shuffled else labels))
    return Images(name="separable", classes=("a", "b", "c"), training=parts[0], validation=parts[1], test=parts[2])


def test_training_ends_early_where_nothing_is_learned() -> None:
    graph = tiny().graph([0], batch=8)
    learned = train(graph, separable((60, 21, 21)), Recipe(epochs=40, patience=40, batch=8, rate=0.05))
    assert learned.epochs == 40
    assert learned.validation == learned.test == 1
    stopped = train(graph, separable((60, 21, 21), shuffled=True), Recipe(epochs=60, patience=2, batch=8, rate=0.05))
    assert stopped.epochs < 60
    assert stopped.validation < 0.8


def test_a_loss_that_is_no_number_has_no_score() -> None:
    data = separable((24, 9, 9))
    data.training.images[0] = np.nan
    found = train(tiny().graph([0], batch=8), data, Recipe(epochs=2, batch=8))
    assert math.isnan(found.validation)


def test_training_keeps_statistics() -> None:
    module = reference.trainable(tiny().graph([0], batch=8))
    shown = 5 + torch.randn(8, 1, 4, 4)
    before = {name: tensor.clone() for name, tensor in module.named_buffers()}
    assert sorted({name.split(".")[-1] for name in before}) == ["running_mean", "running_var"]
    module.eval()(shown)
    assert all(torch.equal(before[name], tensor) for name, tensor in module.named_buffers())
    module.train()(shown).sum().backward()
    assert not any(torch.equal(before[name], tensor) for name, tensor in module.named_buffers())
    assert all(parameter.grad is not None for parameter in module.parameters())
    graph = costmodel.build("resnet-18@32", classes=3)
    assert sum(parameter.numel() for parameter in reference.trainable(graph).parameters()) == graph.parameters


def test_a_folder_of_images(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    for label, colour in (("red", (200, 0, 0)), ("blue", (0, 0, 200))):
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(10):
            image.new("RGB", (9 + number, 12), colour).save(tmp_path / "data" / label / f"{number}.png")
    found = images(str(tmp_path / "data"), resolution=16)
    assert (found.shape, found.classes) == ((3, 16, 16), ("blue", "red"))
    assert [len(part.labels) for part in (found.training, found.validation, found.test)] == [12, 4, 4]
    assert all(sorted(part.labels) == [0] * (len(part.labels) // 2) + [1] * (len(part.labels) // 2) for part in (found.training, found.test))
    assert images(str(tmp_path / "data"), resolution=16).name == found.name != images(str(tmp_path / "data")).name
    (tmp_path / "data" / "red" / "0.png").write_bytes(b"no image")
    with pytest.raises(InvalidFileError, match=r"0\.png: cannot be read as an image"):
        images(str(tmp_path / "data"))
    for number in range(6):
        (tmp_path / "data" / "red" / f"{number}.png").unlink()
    with pytest.raises(InvalidFileError, match=r"red: has 4 images .*: a class needs at least 5"):
        images(str(tmp_path / "data"))
    with pytest.raises(InvalidFileError, match="has 0 folders"):
        images(str(tmp_path / "data" / "blue"))
    with pytest.raises(UsageError, match="there is no such folder of images"):
        images(str(tmp_path / "nothing"))


def test_spaces_that_do_not_fit_the_images_are_refused() -> None:
    data = separable((24, 9, 9))
    with pytest.raises(
        UsageError, match=r"takes images of 3x224x224, those of separable are 1x4x4: take space\.on\(channels=1, resolution=\(4, 4\), classes=3\)"
    ):
        Trained(space=space("fbnet"), images=data)
    with pytest.raises(UsageError, match="tiny tells 7 classes apart, separable has 3"):
        Probe(space=tiny(classes=7), images=data)
    with pytest.raises(UsageError, match="a batch of 64 is more than the 24 images"):
        train(tiny().graph([0], batch=64), data)


def test_a_space_on_other_images() -> None:
    fbnet = space("fbnet")
    moved = fbnet.on(channels=1, resolution=(32, 48), classes=10)
    assert moved.name == "fbnet@1x32x48-10"
    graph = moved.graph(moved.sample(1, seed=0)[0])
    assert [spec.shape for spec in graph.inputs.values()] == [(1, 1, 32, 48)]
    assert graph.nodes[-1].outputs[0].shape == (1, 10)
    assert moved.fingerprint != fbnet.fingerprint
    assert fbnet.on(channels=3, resolution=(224, 224), classes=1000) is fbnet
    with pytest.raises(UsageError, match="its head ends in no layer that says how many classes"):
        space("nas-bench-201").on(channels=3, resolution=(32, 32), classes=10)
