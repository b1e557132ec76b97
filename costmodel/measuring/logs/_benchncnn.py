"""ncnn's ``benchncnn``: one line a network, the fastest, slowest and mean pass in milliseconds, after the settings of all (benchmark/benchncnn.cpp).

One log holds many networks, and nothing tells where it ends: whole lines count, and a log that ends in the middle of one was cut off. Of its own list those
are taken whose structure is that of a network of the zoo; the others are named.
"""

from __future__ import annotations

import re

from costmodel.measuring.logs._log import Run, Source, Tool, number

_SETTING = re.compile(r"^(loop_count|num_threads|powersave|gpu_device|cooling_down) = (-?\d+)\s*$")
_ROW = re.compile(r"^\s*(\S+)\s+min =\s*(\d+\.\d\d)\s+max =\s*(\d+\.\d\d)\s+avg =\s*(\d+\.\d\d)\s*$")
#: The beginning of such a line: the name, right-aligned, and what there is of the times.
_BEGUN = re.compile(r"^\s*(\S+)\s+m(?:i(?:n(?:\s.*)?)?)?\s*$")
_NAME = re.compile(r"^\s+(\S+)\s*$")
#: Names in benchncnn's own list -> the same network in the zoo (its .param files and the input sizes in benchncnn.cpp).
OWN_LIST = {
    "squeezenet": "squeezenet-1.1@227",
    "mobilenet": "mobilenet-v1@224",
    "mobilenet_v2": "mobilenet-v2@224",
    "mobilenet_v3": "mobilenet-v3-large@224",
    "efficientnet_b0": "efficientnet-b0@224",
    "efficientnetv2_b0": "efficientnetv2-b0@224",
    "regnety_400m": "regnet-y-400mf@224",
    "googlenet": "googlenet@224",
    "mnasnet": "mnasnet-b1@224",
    "resnet18": "resnet-18@224",
    "alexnet": "alexnet@227",
    "vgg16": "vgg-16@224",
    "resnet50": "resnet-50@224",
}
_INT8 = "_int8"
_MS = 1e-3


def _recognises(source: Source) -> bool:
    return any(_SETTING.match(line) or _ROW.match(line) for line in source.lines)


def _runs(source: Source) -> tuple[Run, ...]:
    settings: dict[str, int] = {}
    runs = []
    for line_number, line in enumerate(source.lines, 1):
        if found := _SETTING.match(line):
            settings[found[1]] = int(found[2])
        elif found := _ROW.match(line):
            if "loop_count" not in settings or "num_threads" not in settings:
                raise source.refuse(line_number, "the beginning is cut off: loop_count and num_threads are not stated before the first network")
            runs.append(_run(source, line_number, found, settings))
        elif found := _BEGUN.match(line) or (_NAME.match(line) if line_number == source.last_line else None):
            raise source.refuse(line_number, f"the log is cut off in the line of {found[1]}")
    if source.unended and not _ROW.match(source.unended):
        raise source.refuse(source.last_line, f"the log is cut off in a line: {source.unended[:60]!r}")
    if not runs:
        raise source.refuse(source.last_line, "the log is cut off: no network was timed")
    return tuple(runs)


def _run(source: Source, line_number: int, found: re.Match[str], settings: dict[str, int]) -> Run:
    try:
        least, most, average = (number(text) for text in found.groups()[1:])
    except ValueError as error:
        raise source.refuse(line_number, str(error)) from None
    if not least <= average <= most:
        raise source.refuse(line_number, f"the mean of {average:g} ms does not lie between {least:g} and {most:g} ms: the line is damaged")
    name = found[1]
    int8 = name.endswith(_INT8)
    gpu = settings.get("gpu_device", -1) >= 0
    own = OWN_LIST.get(name.removesuffix(_INT8))
    return Run(
        seconds=average * _MS,
        statistic="mean",
        passes=settings["loop_count"],
        line=line_number,
        model=own or name,
        threads=settings["num_threads"],
        stated={"processor": "gpu" if gpu else "cpu", "runtime": "ncnn", **({"dtype": "int8"} if int8 else {})},
        remark=f"benchncnn's own {name}" if own else "",
    )


TOOL = Tool(name="ncnn benchncnn", recognises=_recognises, runs=_runs)
