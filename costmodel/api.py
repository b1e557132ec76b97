"""What ``import costmodel`` offers: names resolved to graphs and targets, and estimates of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from costmodel import estimation, zoo
from costmodel.devices import Device, Target, parse_device, resolve_target
from costmodel.devices import device as _device
from costmodel.devices import device_names as _device_names
from costmodel.errors import UsageError
from costmodel.estimation import Estimate
from costmodel.files import names_network_file
from costmodel.graph import Graph
from costmodel.interval import Difference
from costmodel.tensor import TensorSpec

if TYPE_CHECKING:
    from costmodel import decisions
    from costmodel.calibration.calibrate import Calibration
    from costmodel.calibration.validation import Validation
    from costmodel.importers.torch import Counts

PaddingName = Literal["same", "symmetric"]
#: Inputs of a torch module: for each argument a shape, a `TensorSpec` or a tensor, in order or by name.
Inputs = Sequence[Any] | Mapping[str, Any]


def build(name: str, *, batch: int = 1, padding: PaddingName | None = None, classes: int | None = None, features_only: bool = False) -> Graph:
    """The graph of a zoo network.

    Parameters
    ----------
    name : as on the command line, ``mobilenet-v2-1.4@192``: width multiplier after ``-``, resolution after ``@``.
    batch : samples a forward pass.
    padding : ``same`` (TensorFlow's) or ``symmetric`` (torch's); None is that of the network's origin.
    classes : outputs of the last layer; None is the published number.
    features_only : the backbone without its head.

    Raises
    ------
    UnknownNameError
        If no network has that name; with close matches.
    ShapeError
        If the resolution is too small for the network; names the operator.

    Examples
    --------
    >>> graph = build("efficientnet-b5")
    >>> graph.parameters, graph.macs
    (30389784, 10266384752)
    """
    return zoo.build(name, batch=batch, padding=padding, classes=classes, features_only=features_only)


def load(path: str | os.PathLike[str], *, dims: Mapping[str, int] | None = None, batch: int | None = None) -> Graph:
    """The graph in a file: a saved graph (.json), an ONNX model (.onnx), a TFLite model (.tflite) or a saved program (.pt2).

    No weights are loaded, nothing in the file is run.

    Parameters
    ----------
    dims : sizes that the file leaves open, by name.
    batch : samples a pass; None is what the file says.

    Raises
    ------
    InvalidFileError
        If the file is unreadable or damaged: names the place.
    UsageError
        If a size that the file leaves open is not given.
    """
    from costmodel.importers.files import read_file

    return read_file(os.fspath(path), dims=dims, batch=batch)


def export(
    model: str | os.PathLike[str] | Graph,
    path: str | os.PathLike[str],
    *,
    weights: Mapping[str, Mapping[str, Any]] | None = None,
    dtype: str | None = None,
    seed: int = 0,
) -> None:
    """Write a network as a file that other tools run: .tflite, .onnx or .pt2, or as a saved graph (.json).

    Parameters
    ----------
    model : as for `estimate`.
    weights : node -> name -> tensor, as ``costmodel.reference`` makes and takes them; None draws random ones from `seed`.
    dtype : ``fp32`` or ``int8``, for .tflite; int8 files are calibrated on random inputs.

    Raises
    ------
    UsageError
        If the ending names no format, an operator has no form in it (names it), or a package is missing.
    """
    from costmodel.importers.files import write_file

    write_file(resolve(model), os.fspath(path), weights=weights, dtype=dtype, seed=seed)


def from_torch(module: Any, inputs: Inputs, *, name: str = "", batch: int | None = None) -> Graph:
    """The graph of a ``torch.nn.Module`` in eval mode; the module is not changed, and no weight value is needed.

    Parameters
    ----------
    inputs : a shape, a `TensorSpec` or a tensor for each argument of ``forward``: ``[(1, 3, 224, 224)]``; by name in a
        mapping. Dimension 0 is the batch, which the graph can take any value of (`Graph.with_batch`).
    name : of the graph; the class's where it is empty.
    batch : samples a pass; None is that of the inputs.

    Raises
    ------
    UsageError
        If torch is not installed, or the arguments are of another kind.
    CostModelError
        If the module does not run on such inputs: says what torch said.
    """
    from costmodel.importers.torch import import_module

    return import_module(module, inputs, name=name, batch=batch).graph


def count(module: Any, inputs: Inputs) -> Counts:
    """Parameters, MACs and other FLOPs of a ``torch.nn.Module`` by the fastest route, without a graph; arguments as for `from_torch`."""
    from costmodel.importers.torch import count_module

    return count_module(module, inputs)


def device(name: str | os.PathLike[str]) -> Device:
    """A device profile by name, or by the path of a TOML file."""
    return _device(os.fspath(name))


def device_names() -> tuple[str, ...]:
    """Names of all shipped device profiles."""
    return _device_names()


def model_names() -> tuple[str, ...]:
    """Names of all networks of the zoo; families with width multipliers appear once."""
    return tuple(zoo.architectures())


def target(
    device: str | os.PathLike[str] | Device,
    *,
    processor: str | None = None,
    runtime: str | None = None,
    dtype: str | None = None,
    threads: int | None = None,
    cores: str | None = None,
    layout: str | None = None,
) -> Target:
    """What is estimated: a processor of a device under a runtime, in a dtype, on some of its cores.

    Parameters
    ----------
    device : a profile's name, the path of a TOML file, or a `Device`.
    processor, runtime, dtype, layout : None takes the profile's default.
    threads : how many of the fastest cores.
    cores : which cores, as ``large=1,medium=3``; not together with `threads`.

    Examples
    --------
    >>> target("pixel4", threads=4).cores_text
    'large=1,medium=3'
    """
    found = device if isinstance(device, Device) else _device(os.fspath(device))
    return resolve_target(found, processor=processor, runtime=runtime, dtype=dtype, threads=threads, cores=cores, layout=layout)


def estimate(
    model: str | os.PathLike[str] | Graph,
    *,
    device: str | os.PathLike[str] | Device | None = None,
    target: Target | None = None,
    batch: int | None = None,
    strict: bool = False,
    padding: PaddingName | None = None,
    classes: int | None = None,
    features_only: bool = False,
    weights: str | None = None,
    convention: str | None = None,
    inputs: Sequence[TensorSpec] | None = None,
    dims: Mapping[str, int] | None = None,
    **options: Any,
) -> Estimate:
    """What a network costs on a device.

    Parameters
    ----------
    model : a zoo name, the path of a file (`load`), ``torch:package.module:callable``, or a `Graph`.
    device, options : the device and the keywords of `target` (``processor``, ``runtime``, ``dtype``, ``threads``,
        ``cores``, ``layout``); or instead
    target : a `Target` made before.
    batch : samples a pass; None is 1, or the graph's own.
    strict : raise where part of the network has no cost on the target.
    padding, classes, features_only : as for `build`; for zoo names only.
    inputs, dims : shapes for ``torch:``, and sizes that a file leaves open, by name.
    weights : a format that the weights are stored in: ``fp16``, ``int8``, ``6bit``, ``pruned=0.7`` or two joined by a comma.
    convention : state the total as ``macs``, ``paper``, ``torch`` or ``fvcore`` count it, too.

    Examples
    --------
    >>> report = estimate("mobilenet-v2", device="pixel4")
    >>> report.latency_low_s < report.latency_s < report.latency_high_s
    True
    """
    if (device is None) == (target is None):
        raise UsageError("give either a device or a target")
    if target is not None and not isinstance(target, Target):
        raise UsageError(f"target must be what costmodel.target() returns, not {type(target).__name__}")
    if target is not None and options:
        raise UsageError(f"{', '.join(sorted(options))}: these belong to the target, which is given already")
    graph = resolve(model, batch=batch, padding=padding, classes=classes, features_only=features_only, inputs=inputs, dims=dims)
    chosen = target if target is not None else _target_for(graph, device, options)
    changed = changes(padding=padding, classes=classes, features_only=features_only)
    report = estimation.estimate(graph, chosen, strict=strict, weights=weights, convention=convention, changed=changed)
    return report if isinstance(model, Graph) or _is_named(model) else replace(report, origin=os.fspath(model))


def _target_for(graph: Graph, device: str | os.PathLike[str] | Device | None, options: dict[str, Any]) -> Target:
    """The target of these options; without a dtype, in the precision that the network's file has, where the device computes in it."""
    assert device is not None
    if graph.precision and options.get("dtype") is None:
        try:
            return target(device, **{**options, "dtype": graph.precision})
        except UsageError:
            target(device, **options)  # is anything else wrong?
    return target(device, **options)


def changes(*, padding: PaddingName | None = None, classes: int | None = None, features_only: bool = False) -> str:
    """How these options of `build` make a network differ from the one of its name, in words; empty where it is that network itself.

    Examples
    --------
    >>> changes(classes=10, padding="symmetric"), changes()
    ('10 classes, padding symmetric', '')
    """
    notes = (classes is not None and f"{classes} classes", features_only and "features only", padding is not None and f"padding {padding}")
    return ", ".join(note for note in notes if note)


def resolve(
    model: str | os.PathLike[str] | Graph,
    *,
    batch: int | None = None,
    padding: PaddingName | None = None,
    classes: int | None = None,
    features_only: bool = False,
    inputs: Sequence[TensorSpec] | None = None,
    dims: Mapping[str, int] | None = None,
) -> Graph:
    """The graph that `model` means, at `batch`: a zoo name is built, a path loaded, ``torch:`` imported, a graph taken as it is."""
    if not isinstance(model, Graph | str | os.PathLike):
        raise UsageError(f"a model is a name, a path or a Graph, not {type(model).__name__}; from_torch() takes a torch module")
    named = _is_named(model)
    if inputs and not (isinstance(model, str) and model.startswith("torch:")):
        raise UsageError("inputs (--input) are for torch:package.module:callable; a network of the zoo takes its resolution after @, a file says its own")
    if dims and (named or isinstance(model, Graph)):
        raise UsageError("dims (--dim) are for files that leave sizes open")
    if named:
        return build(str(model), batch=1 if batch is None else batch, padding=padding, classes=classes, features_only=features_only)
    if padding is not None or classes is not None or features_only:
        raise UsageError("padding, classes and features_only change how a zoo network is built; a graph, a module or a file is what it is")
    if isinstance(model, Graph):
        return model if batch is None else model.with_batch(batch)
    if isinstance(model, str) and model.startswith("torch:"):
        from costmodel.importers._rim import code_of_others
        from costmodel.importers.torch import import_factory

        with code_of_others(model):
            return import_factory(model, inputs or (), batch=batch).graph
    return load(model, dims=dims, batch=batch)


def _is_named(model: str | os.PathLike[str] | Graph) -> bool:
    """Whether a model is a name of the zoo, rather than a path, code or a graph."""
    return isinstance(model, str) and not model.startswith("torch:") and not names_network_file(model)


def compare(first: Estimate, second: Estimate) -> Difference:
    """How the second estimate's latency relates to the first's, with the interval of the ratio."""
    return estimation.compare_two(first, second)


def targets(device: str | os.PathLike[str] | Device, *, dtypes: Sequence[str] = (), **options: Any) -> tuple[Target, ...]:
    """A target for each of `dtypes`, or for each precision that the runtime has figures for; other options as for `target`."""
    first = target(device, **options)
    return tuple(target(device, **{**options, "dtype": dtype}) for dtype in dict.fromkeys(dtypes or first.dtypes))


def networks(
    models: Sequence[str] = (),
    *,
    families: Sequence[str] = (),
    accuracy: str | os.PathLike[str] | None = None,
    evaluation: str | None = None,
    extra_data: bool = True,
) -> tuple[decisions.Network, ...]:
    """The networks that are asked for, with the ImageNet top-1 that is known of each; see `pareto` for the arguments."""
    from costmodel import decisions

    known = decisions.zoo_networks(evaluation=evaluation, extra_data=extra_data)
    if accuracy is not None:
        known = decisions.read_accuracies(os.fspath(accuracy), known)
    return decisions.select(known, models, families)


def pareto(
    models: Sequence[str] = (),
    *,
    targets: Sequence[Target],
    families: Sequence[str] = (),
    accuracy: str | os.PathLike[str] | None = None,
    evaluation: str | None = None,
    extra_data: bool = True,
    batch: int | None = None,
    padding: PaddingName | None = None,
    inputs: Sequence[TensorSpec] | None = None,
    dims: Mapping[str, int] | None = None,
) -> tuple[decisions.Front, ...]:
    """Published accuracy against estimated latency: a front for each target.

    Parameters
    ----------
    models, families : zoo names, families, files or ``torch:``; nothing means every network with an accuracy.
    accuracy : a CSV file of accuracies of one's own, with the columns ``network`` and ``top1``; they go before published ones.
    evaluation : whose published figures: ``paper``, ``timm``, ``torchvision`` or ``pytorchcv``; None takes the paper's where
        there is one.
    extra_data : whether networks trained on more than ImageNet-1k count.
    padding, inputs, dims : as for `estimate`, for those of the networks that they concern.

    Examples
    --------
    >>> (front,) = pareto(["mobilenet-v2", "mobilenet-v3-large"], targets=[target("pixel4")])
    >>> [standing.offer.network.name for standing in front.best]
    ['mobilenet-v3-large']
    """
    from costmodel import decisions

    which = {"families": families, "accuracy": accuracy, "evaluation": evaluation, "extra_data": extra_data}
    offers, left_out = _offers(models, targets, **which, batch=batch, padding=padding, inputs=inputs, dims=dims)
    different = [found for number, found in enumerate(targets) if found not in targets[:number]]
    return tuple(decisions.front(found, [offer for offer in offers if offer.target == found], left_out) for found in different)


def recommend(models: Sequence[str] = (), *, targets: Sequence[Target], limits: decisions.Limits, **options: Any) -> decisions.Recommendation:
    """The best networks within limits on any of the targets; the other arguments are those of `pareto`.

    Examples
    --------
    >>> from costmodel.decisions import Limits
    >>> found = recommend(targets=[target("pixel4")], families=["mobilenet-v2"], limits=Limits(latency_s=10e-3))
    >>> found.choices[0].offer.network.name, found.choices[0].certainty
    ('mobilenet-v2@128', 'probably')
    """
    from costmodel import decisions

    offers, left_out = _offers(models, targets, **options)
    return decisions.recommend(offers, limits, left_out)


def _offers(
    models: Sequence[str], targets: Sequence[Target], *, batch: int | None = None, padding: Any = None, inputs: Any = None, dims: Any = None, **which: Any
) -> tuple[tuple[decisions.Offer, ...], tuple[decisions.LeftOut, ...]]:
    """What is asked for on every target, each network with those of the options that concern it; and what could not be priced."""
    from costmodel import decisions

    chosen = networks(models, **which)
    names = [network.name for network in chosen]

    def build(name: str) -> Graph:
        return resolve(name, batch=batch, **decisions.concerning(name, names, padding=padding, inputs=inputs, dims=dims))

    return decisions.price(chosen, targets, build, strict=bool(models))


def sweep(
    model: str | os.PathLike[str] | Graph,
    *,
    device: str | os.PathLike[str] | Device,
    wanted: decisions.Wanted,
    padding: PaddingName | None = None,
    inputs: Sequence[TensorSpec] | None = None,
    dims: Mapping[str, int] | None = None,
    **options: Any,
) -> decisions.Grid:
    """Estimates of one network at every combination of batches, resolutions, widths, precisions and threads.

    Parameters
    ----------
    wanted : the values of each; an empty one stays at what the network or the profile says.
    options : keywords of `target` for what is the same in every cell.
    """
    from costmodel import decisions

    named = os.fspath(model) if isinstance(model, os.PathLike) else model

    def build(name: str | Graph) -> Graph:
        return resolve(name, padding=padding, inputs=inputs, dims=dims)

    if isinstance(named, Graph) or decisions.is_outside(named):  # read once, whatever the number of cells
        named = build(named)
        options["dtype"] = None if wanted.dtype else _target_for(named, device, options).dtype
    each = [
        target(device, **{**options, **({} if dtype is None else {"dtype": dtype}), **({} if threads is None else {"threads": threads})})
        for dtype in wanted.dtype or (None,)
        for threads in wanted.threads or (None,)
    ]
    return decisions.grid(named, wanted, each, build)


def validate(
    device: str | os.PathLike[str] | Device,
    *,
    measurements: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
    skip_refused: bool = False,
    processor: str | None = None,
    runtime: str | None = None,
    dtype: str | None = None,
    cores: str | None = None,
) -> Validation:
    """How well a device's profile predicts measured rows, target by target, beside simpler predictions.

    Parameters
    ----------
    measurements : CSV files of measured rows (see `costmodel.calibration.rows`); None takes those that ship.
    skip_refused : go on without rows that cannot be meant; they are listed in the result.
    processor, runtime, dtype, cores : rows of these alone.

    Raises
    ------
    InvalidFileError
        If a file is none of measured rows, or some of its rows are refused: lists them with their lines.
    UsageError
        If no row of this device is left.
    """
    from costmodel.calibration import rows, validation

    found = device if isinstance(device, Device) else _device(os.fspath(device))
    files = rows.read_for(found.name, rows.paths(measurements))
    chosen = rows.only(files, found.name, rows.stated(processor=processor, runtime=runtime, dtype=dtype, cores=cores))
    return validation.validate(chosen, found, skip_refused=skip_refused, **rows.account(files, found.name, given=measurements is not None))


def calibrate(
    device: str | os.PathLike[str],
    *,
    measurements: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
    like: str | os.PathLike[str] | None = None,
    date: str = "",
    skip_refused: bool = False,
    keep_constants: bool = False,
    processor: str | None = None,
    runtime: str | None = None,
    dtype: str | None = None,
) -> Calibration:
    """A device's profile fitted to measured rows, with its scores on families held out.

    Parameters
    ----------
    device : a profile's name or file; with `like` it may state the hardware alone.
    measurements : CSV files of measured rows (see `costmodel.calibration.rows`); None takes those that ship.
    like : the profile whose constants a processor without its own begins from.
    date : when the rows were measured, for the profile's sources.
    skip_refused : go on without rows that cannot be meant; they are listed in the result.
    keep_constants : write the intervals that families held out call for, and leave the constants as they are.
    processor, runtime, dtype : rows of these alone.

    Raises
    ------
    InvalidFileError
        If a file is none of measured rows, or some of its rows are refused: lists them with their lines.
    UsageError
        If no row of this device is left, or none is of cores of one kind.
    """
    from costmodel.calibration import calibrate as _calibrate
    from costmodel.calibration import rows, transfer

    text, path = transfer.profile_text(os.fspath(device))
    if like is not None:
        text = transfer.with_relative(text, path, *transfer.profile_text(os.fspath(like)))
    found = parse_device(text.encode(), path)
    rows.require_date(date)
    files = rows.read_for(found.name, rows.paths(measurements))
    chosen = rows.only(files, found.name, rows.stated(processor=processor, runtime=runtime, dtype=dtype))
    account = rows.account(files, found.name, given=measurements is not None)
    return _calibrate.calibrate(chosen, found, text, date=date, skip_refused=skip_refused, keep_constants=keep_constants, **account)
