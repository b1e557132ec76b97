"""What ``import costmodel`` offers: names resolved to graphs and targets, and estimates of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from costmodel import estimation, zoo
from costmodel.devices import Device, Target, resolve_target
from costmodel.devices import device as _device
from costmodel.devices import device_names as _device_names
from costmodel.errors import InvalidFileError, UsageError
from costmodel.estimation import Estimate
from costmodel.graph import Graph, load_graph
from costmodel.interval import Difference

PaddingName = Literal["same", "symmetric"]

#: Endings of files that this version reads, and of those that hold a network at all.
_READABLE = (".json",)
_FILES = (*_READABLE, ".onnx", ".tflite", ".pt2", ".pt", ".pth")


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


def load(path: str | os.PathLike[str]) -> Graph:
    """The graph in a file that `Graph.save` wrote.

    Raises
    ------
    InvalidFileError
        If the file is unreadable or is no such graph.
    """
    if Path(path).suffix.lower() not in _READABLE:
        raise InvalidFileError(f"{path}: this version reads saved graphs ({', '.join(_READABLE)}) and no other files")
    return load_graph(os.fspath(path))


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
    **options: Any,
) -> Estimate:
    """What a network costs on a device.

    Parameters
    ----------
    model : a zoo name, the path of a saved graph, or a `Graph`.
    device, options : the device and the keywords of `target` (``processor``, ``runtime``, ``dtype``, ``threads``,
        ``cores``, ``layout``); or instead
    target : a `Target` made before.
    batch : samples a pass; None is 1, or the graph's own.
    strict : raise where part of the network has no cost on the target.
    padding, classes, features_only : as for `build`; for zoo names only.
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
    chosen = target if target is not None else globals()["target"](device, **options)
    graph = resolve(model, batch=batch, padding=padding, classes=classes, features_only=features_only)
    changed = changes(padding=padding, classes=classes, features_only=features_only)
    return estimation.estimate(graph, chosen, strict=strict, weights=weights, convention=convention, changed=changed)


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
) -> Graph:
    """The graph that `model` means, at `batch`: a zoo name is built, a path loaded, a graph taken as it is."""
    if isinstance(model, Graph):
        graph = model
    elif isinstance(model, str) and not model.lower().endswith(_FILES) and os.sep not in model:
        if model.startswith("torch:"):
            raise UsageError(f"{model}: this version does not import torch modules; build the graph in Python or name a network of the zoo")
        return build(model, batch=1 if batch is None else batch, padding=padding, classes=classes, features_only=features_only)
    elif isinstance(model, str | os.PathLike):
        graph = load(model)
    else:
        raise UsageError(f"a model is a name, a path or a Graph, not {type(model).__name__}")
    if padding is not None or classes is not None or features_only:
        raise UsageError("padding, classes and features_only change how a zoo network is built; a graph or a file is what it is")
    return graph if batch is None else graph.with_batch(batch)


def compare(first: Estimate, second: Estimate) -> Difference:
    """How the second estimate's latency relates to the first's, with the interval of the ratio."""
    return estimation.compare_two(first, second)
