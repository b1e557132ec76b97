"""Reading a profile: TOML, then provenance, schema, law and rule-set names, law parameters, physics. All faults at once."""

from __future__ import annotations

import hashlib
import re
import tomllib
import types
import typing
from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Any

from pydantic import BaseModel, ValidationError

from costmodel.devices._cores import parse_cores
from costmodel.devices._machine import make_machine
from costmodel.devices._profile import LEAST_FACTOR, Device, Precision, Processor, Profile, Runtime
from costmodel.devices._provenance import Path, Problem, Stripped, line_numbers, nearest_line, strip_provenance
from costmodel.devices._target import differing
from costmodel.errors import InvalidFileError, ProfileError, UsageError, close_matches
from costmodel.files import read_bytes
from costmodel.frozen import FrozenDict
from costmodel.laws import law, laws
from costmodel.lowering import rule_sets
from costmodel.work import EVIDENCE_KINDS

#: Bytes of a profile at most: the largest that ships has 30 kB.
MOST_BYTES = 4 << 20
#: What to do about hardware without runtimes.
_OF_A_RELATIVE = "; `costmodel calibrate FILE.toml --like NAME` takes them from a device whose constants are known"


def load_device(path: str | FilePath) -> Device:
    """The device that a TOML file describes.

    Raises
    ------
    InvalidFileError
        If the file cannot be read or is not TOML.
    ProfileError
        If it is no valid profile; lists every fault as ``file:line: field: what is wrong``.
    """
    return parse_device(read_bytes(path, MOST_BYTES), str(path))


def parse_device(data: bytes, path: str) -> Device:
    """As `load_device`, from the bytes of a file; `path` is for messages."""
    text, document = _read(data, path)
    stripped = strip_provenance(document)
    profile, problems = _validate(stripped)
    if problems or profile is None:
        raise _refusal(problems, text, path)
    return Device(profile=profile, provenance=FrozenDict(stripped.provenance), path=path, sha256=hashlib.sha256(data).hexdigest())


def require_hardware(text: str, path: str) -> None:
    """Refuse a profile in which anything but its runtimes is faulty: those are not looked at, and may be missing.

    Raises
    ------
    InvalidFileError, ProfileError
        As `load_device` does.
    """
    _, document = _read(text.encode("utf-8"), path)
    problems = [problem for problem in _validate(strip_provenance(document))[1] if not _of_runtimes(problem.path)]
    if problems:
        raise _refusal(problems, text, path)


def _of_runtimes(path: Path) -> bool:
    """Whether a place is in a processor's runtimes, or names one of them."""
    return path[:1] == ("processors",) and path[2:3] in (("runtimes",), ("default_runtime",), ("default_dtype",))


def _read(data: bytes, path: str) -> tuple[str, dict[str, Any]]:
    """The text of a file, and what it says in TOML."""
    try:
        text = data.decode("utf-8")
        return text, tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise InvalidFileError(f"{path}: is not UTF-8 text: byte {error.start}") from None
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        where = f"{path}:{place[1]}" if place else path
        raise InvalidFileError(f"{where}: is not TOML: {error}") from None
    except RecursionError:
        raise InvalidFileError(f"{path}: is nested too deeply to be a profile") from None
    except ValueError as error:  # numbers of more digits than Python converts
        raise InvalidFileError(f"{path}: has a number that cannot be read: {error}") from None


def _refusal(problems: Sequence[Problem], text: str, path: str) -> ProfileError:
    """The error that lists faults by their lines."""
    lines = line_numbers(text)
    found = sorted({(nearest_line(lines, problem.path), ".".join(map(str, problem.path)), problem.message) for problem in problems})
    return ProfileError(path, tuple(f"{path}:{line}: {field or 'file'}: {message}" for line, field, message in found))


def _validate(stripped: Stripped) -> tuple[Profile | None, list[Problem]]:
    problems = list(stripped.problems)
    try:
        profile = Profile.model_validate(stripped.values)
    except ValidationError as error:
        return None, problems + _schema_problems(error, Profile, (), stripped.values) + _deeper_problems(stripped.values)
    if profile.default_processor not in profile.processors:
        problems.append(Problem(("default_processor",), _not_among(profile.default_processor, profile.processors)))
    for name, processor in profile.processors.items():
        problems += _processor_problems(profile, processor, ("processors", name))
    return profile, problems


def _deeper_problems(values: dict[str, Any]) -> list[Problem]:
    """What the checks behind the schema find in those processors and runtimes that pass it, when another part does not."""
    problems: list[Problem] = []
    processors = values.get("processors")
    for name, raw in processors.items() if isinstance(processors, dict) else ():
        path = ("processors", name)
        try:
            processor = Processor.model_validate(raw)
        except ValidationError:
            runtimes = raw.get("runtimes") if isinstance(raw, dict) else None
            for stack, entry in runtimes.items() if isinstance(runtimes, dict) else ():
                problems += _parameter_problems(entry, (*path, "runtimes", stack))
            continue
        problems += _processor_problems(None, processor, path)
    return problems


def _parameter_problems(raw: Any, path: Path) -> list[Problem]:
    """Law parameters of a runtime that stands in a faulty processor: their schema alone."""
    if not isinstance(raw, dict) or raw.get("law") not in laws() or not isinstance(raw.get("dtypes"), dict):
        return []
    schema = law(raw["law"]).PARAMETERS
    problems = []
    for dtype, precision in raw["dtypes"].items():
        try:
            schema.model_validate(precision.get("parameters", {}) if isinstance(precision, dict) else {})
        except ValidationError as error:
            problems += _schema_problems(error, schema, (*path, "dtypes", dtype, "parameters"), None)
    return problems


def _schema_problems(error: ValidationError, model: type[BaseModel], prefix: Path, values: Any) -> list[Problem]:
    """Pydantic's errors in our words, with the nearest valid key for one that does not exist."""
    problems = []
    for entry in error.errors(include_url=False):
        location: Path = tuple(entry["loc"])
        message = entry["msg"][0].lower() + entry["msg"][1:]
        if entry["type"] == "extra_forbidden":
            valid = _keys_at(model, location[:-1])
            near = close_matches(str(location[-1]), valid)
            message = "is no key of this table; " + (f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(sorted(valid))}")
        elif entry["type"] == "missing":
            message = "is missing" + (_OF_A_RELATIVE if location[-1] == "runtimes" else "")
        else:
            message += f", not {entry['input']!r}"
        problems.append(Problem((*prefix, *location), message))
    return problems


def _keys_at(model: Any, location: Path) -> tuple[str, ...]:
    """The keys that the schema allows at a place in it."""
    for step in location:
        model = _plain(model)
        if isinstance(model, type) and issubclass(model, BaseModel):
            fields = {field.alias or name: field for name, field in model.model_fields.items()}
            if step not in fields:
                return ()
            model = fields[str(step)].annotation
        elif typing.get_origin(model) in (dict, tuple, list):
            arguments = typing.get_args(model)
            model = arguments[1] if typing.get_origin(model) is dict else arguments[0]
    model = _plain(model)
    return tuple(field.alias or name for name, field in model.model_fields.items()) if isinstance(model, type) and issubclass(model, BaseModel) else ()


def _plain(model: Any) -> Any:
    """An annotation without Annotated and without None."""
    while typing.get_origin(model) is typing.Annotated:
        model = typing.get_args(model)[0]
    if typing.get_origin(model) in (typing.Union, types.UnionType):
        model = next(option for option in typing.get_args(model) if option is not type(None))
    return model


def _processor_problems(profile: Profile | None, processor: Processor, path: Path) -> list[Problem]:
    problems = []
    if processor.default_runtime not in processor.runtimes:
        problems.append(Problem((*path, "default_runtime"), _not_among(processor.default_runtime, processor.runtimes)))
    if bool(processor.clusters) == bool(processor.peak_tflop_per_s):
        problems.append(Problem(path, "states either clusters (a CPU) or peak_tflop_per_s (anything else), and not both"))
        return problems
    names = [cluster.name for cluster in processor.clusters]
    if len(set(names)) != len(names):
        problems.append(Problem((*path, "clusters"), f"two clusters have one name: {', '.join(names)}"))
    peaks = [cluster.flops_per_cycle for cluster in processor.clusters] or [processor.peak_tflop_per_s]
    if any("fp32" not in peak for peak in peaks):
        problems.append(Problem(path, "must state the fp32 peak; other dtypes fall back to it"))
        return problems
    problems += _default_problems(processor, path)
    for name, runtime in processor.runtimes.items():
        problems += _runtime_problems(profile, processor, runtime, (*path, "runtimes", name))
    return problems


def _default_problems(processor: Processor, path: Path) -> list[Problem]:
    """Defaults that the processor does not offer, and a clock that its law needs."""
    problems = []
    if (processor.type == "cpu") != bool(processor.clusters):
        problems.append(Problem((*path, "type"), f"{processor.type!r}: a CPU states clusters, anything else its peaks"))
    for position, cluster in enumerate(processor.clusters):
        together = cluster.clock_together_ghz
        if together is not None and together > cluster.clock_ghz:
            where = (*path, "clusters", position, "clock_together_ghz")
            problems.append(Problem(where, f"{together:g} is over the {cluster.clock_ghz:g} GHz of one core: several run no faster"))
    if processor.clock_ghz is None and not processor.clusters and any(runtime.law == "linear_work" for runtime in processor.runtimes.values()):
        problems.append(Problem((*path, "clock_ghz"), "is missing: the law linear_work counts in cycles"))
    default = processor.runtimes.get(processor.default_runtime)
    if default is not None:
        offered = (processor.runtimes.get(default.like, default) if default.like else default).dtypes
        if offered and processor.default_dtype not in offered:
            problems.append(Problem((*path, "default_dtype"), f"{processor.default_dtype!r}: {processor.default_runtime} has {', '.join(offered)}"))
    if processor.clusters and processor.default_cores is not None:
        available: dict[str, int] = {cluster.name: cluster.cores for cluster in processor.clusters}
        try:
            parse_cores(processor.default_cores, available)
        except UsageError as error:
            problems.append(Problem((*path, "default_cores"), str(error)))
    return problems


def _runtime_problems(profile: Profile | None, processor: Processor, runtime: Runtime, path: Path) -> list[Problem]:
    problems = []
    if runtime.lowering not in rule_sets():
        problems.append(Problem((*path, "lowering"), f"unknown lowering rule set {_not_among(runtime.lowering, rule_sets())}"))
    if runtime.law not in laws():
        problems.append(Problem((*path, "law"), f"unknown law {_not_among(runtime.law, laws())}"))
        return problems
    if runtime.like is not None:
        origin = processor.runtimes.get(runtime.like)
        if origin is None or origin.like is not None:
            problems.append(Problem((*path, "like"), _not_among(runtime.like, [n for n, r in processor.runtimes.items() if r.like is None])))
        elif origin.law != runtime.law or runtime.dtypes:
            problems.append(Problem((*path, "like"), "takes the precisions of a runtime of the same law, and states none of its own"))
        else:
            problems += _differing_problems(processor, runtime, origin, path)
        return problems
    if runtime.differs:
        problems.append(Problem((*path, "differs"), "is for a runtime that is like another; state the parameters themselves"))
    if runtime.host is not None and profile is not None:
        host, stack = runtime.host
        unit = profile.processors.get(host)
        if unit is None or stack not in unit.runtimes:
            problems.append(Problem((*path, "host"), f"{host!r}, {stack!r} is no processor and runtime of this profile"))
        elif unit.type != "cpu" or unit.runtimes[stack].host is not None:
            problems.append(Problem((*path, "host"), f"{host!r}, {stack!r} cannot be a host: only a CPU without a host of its own can"))
    if not runtime.dtypes:
        problems.append(Problem(path, 'has no precision: add a table dtypes.<dtype>, or like = "another runtime"'))
    for dtype, precision in runtime.dtypes.items():
        problems += _precision_problems(processor, runtime, dtype, precision, (*path, "dtypes", dtype))
    return problems


def _differing_problems(processor: Processor, runtime: Runtime, origin: Runtime, path: Path) -> list[Problem]:
    """Faults of the precisions that a runtime takes over and changes."""
    problems = []
    for dtype, parameters in runtime.differs.items():
        where = (*path, "differs", dtype)
        if dtype not in origin.dtypes:
            problems.append(Problem(where, _not_among(dtype, origin.dtypes)))
            continue
        changed = differing(origin.dtypes[dtype], parameters)
        for found in _precision_problems(processor, runtime, dtype, changed, where):
            problems.append(Problem((*where, *found.path[len(where) + 1 :]), found.message))
    return problems


def _precision_problems(processor: Processor, runtime: Runtime, dtype: str, precision: Precision, path: Path) -> list[Problem]:
    problems = []
    least = LEAST_FACTOR[precision.basis]
    if precision.interval_factor < least:
        problems.append(Problem((*path, "interval_factor"), f"{precision.interval_factor:g} is under {least:g}, the least for the basis {precision.basis!r}"))
    for position, kind in enumerate(precision.measured_kinds):
        if kind not in EVIDENCE_KINDS:
            problems.append(Problem((*path, "measured_kinds", position), _not_among(kind, EVIDENCE_KINDS)))
    least_batch, most_batch = precision.measured_batches or (1, 1)
    if least_batch > most_batch:
        problems.append(Problem((*path, "measured_batches"), f"takes the least batch, then the largest, not {least_batch} and {most_batch}"))
    schema = law(runtime.law).PARAMETERS
    try:
        parameters = schema.model_validate(precision.parameters)
    except ValidationError as error:
        return problems + _schema_problems(error, schema, (*path, "parameters"), precision.parameters)
    cores = tuple((cluster.name, cluster.cores) for cluster in processor.clusters)
    machine = make_machine(processor, cores, parameters)
    problems += [Problem((*path, "parameters", *fault.path), fault.message) for fault in law(runtime.law).faults(parameters, machine, dtype)]
    return problems


def _not_among(given: str, available: Any) -> str:
    near = close_matches(given, available)
    return f"{given!r}" + (f"; did you mean {near[0]!r}?" if near else f"; available: {', '.join(sorted(available))}")
