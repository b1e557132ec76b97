"""From the logs of measuring tools to measured rows, as `costmodel.calibration.rows` reads them."""

from __future__ import annotations

import csv
import io
import os
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from costmodel import zoo
from costmodel.calibration.rows import OPTIONAL, MeasuredRow, RowProblem, parse_rows, require_date
from costmodel.calibration.samples import collect
from costmodel.devices import Device, device, parse_cores, resolve_target
from costmodel.errors import CostModelError, InvalidFileError, UsageError
from costmodel.files import names_network_file, read_bytes
from costmodel.measuring.logs import MAX_BYTES, STATED, LogError, Run, Source, Tool, read_log

COLUMNS = ("network", "device", "processor", "runtime", "dtype", "cores", "layout", "padding", "batch", "latency_ms", "date", "source")
#: Clusters of a device that no profile knows; a profile's has so many cores at the most.
_ANY_CORES = dict.fromkeys(("large", "medium", "small"), 1024)
#: Endings that names of files in a kit have after the network's name.
_ENDINGS = re.compile(r"(\.(tflite|onnx|param|plan|engine|trt|fp32|fp16|int8))+$")
#: Repeats of one case that lie further apart than this, largest over smallest, are reported.
REPEATS_APART = 1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """Measured rows out of logs, repeats of one case together; logs and runs that gave none with their line, and what to know of the others."""

    rows: tuple[MeasuredRow, ...]
    problems: tuple[RowProblem, ...]
    warnings: tuple[str, ...] = ()

    def to_csv(self) -> str:
        """The rows as a file that ``costmodel calibrate --measurements`` reads."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in self.rows:
            known = [getattr(row, name) for name in COLUMNS[:9]]
            writer.writerow([*known, f"{row.seconds * 1e3:.6g}", row.date, row.source])
        return out.getvalue()


def ingest(logs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], **stated: str | None) -> Ingested:
    """The measured rows in logs of TFLite's benchmark_model, benchncnn, onnxruntime, trtexec, torch.profiler, or of a kit run here.

    What tool wrote a log is told by its content. A log that is cut off, damaged or of another tool is a problem with its line; the others
    are read all the same.

    Parameters
    ----------
    logs : files, or folders of logs.
    stated : what the logs leave open: ``network``, ``device``, ``processor``, ``runtime``, ``dtype``, ``cores``, ``layout``, ``padding``, ``batch``,
        ``date``. A log that states something else is refused.

    Raises
    ------
    UsageError
        If something is stated that is no such column or no date, or a folder holds no file.
    """
    given = {name: value for name, value in stated.items() if value is not None}
    if wrong := sorted(set(given) - set(STATED)):
        raise UsageError(f"{', '.join(wrong)}: what logs leave open is {', '.join(STATED)}")
    require_date(given.get("date", ""))
    found: list[tuple[MeasuredRow, Run]] = []
    problems: list[RowProblem] = []
    warnings: list[str] = []
    for path in _files([logs] if isinstance(logs, str | os.PathLike) else logs):
        try:
            source, tool, runs = read_log(_text(path), path)
        except LogError as error:
            problems.append(RowProblem(path=error.path, line=error.line, message=error.text))
            continue
        except InvalidFileError as error:
            problems.append(RowProblem(path=path, line=1, message=str(error).removeprefix(f"{path}: ")))
            continue
        if len(runs) > 1 and ("network" in given or "network" in source.stated):
            text = f"holds {len(runs)} networks, each with its name: leave --network and network= out"
            problems.append(RowProblem(path=path, line=runs[0].line, message=text))
            continue
        for run in runs:
            try:
                found.append((_row(source, tool, run, given, warnings), run))
            except LogError as error:
                problems.append(RowProblem(path=error.path, line=error.line, message=error.text))
    rows, refused = _possible([row for row, _ in found])
    return Ingested(rows=_together(rows, warnings), problems=(*problems, *refused), warnings=tuple(dict.fromkeys(warnings)))


def _files(logs: Iterable[str | os.PathLike[str]]) -> list[str]:
    """The files that are meant, each once, those of a folder by name."""
    found: list[str] = []
    for entry in logs:
        path = Path(entry)
        inside = [str(file) for file in sorted(path.iterdir()) if file.is_file() and not file.name.startswith(".")] if path.is_dir() else [str(path)]
        if not inside:
            raise UsageError(f"{path}: the folder holds no log")
        found += inside
    return list(dict.fromkeys(found))


def _text(path: str) -> str:
    try:
        return read_bytes(path, MAX_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].count(b"\n") + 1
        raise LogError(path, before, f"is not UTF-8 text: byte {error.start}") from None


def _row(source: Source, tool: Tool, run: Run, given: Mapping[str, str], warnings: list[str]) -> MeasuredRow:
    """The row of a run: what the heading states, what the tool says, and what was given for what both leave open."""
    values = {**run.stated, **source.stated}
    for name, value in run.stated.items():
        if source.stated.get(name, value) != value:
            raise source.refuse(run.line, f"{tool.name} says {name} {value}, the heading says {source.stated[name]}")
    for name, value in given.items():
        if values.setdefault(name, value) != value:
            raise source.refuse(run.line, f"the log says {name} {values[name]}; it was stated as {value}")
    called = _called(run.model)
    values["network"] = values.get("network") or called or _by_file(source, run)
    if called and called.partition("@")[0] != values["network"].partition("@")[0]:
        raise source.refuse(run.line, f"{tool.name} ran {called}; it was stated as {values['network']}")
    if not values.get("device"):
        raise source.refuse(run.line, "which device was measured is not stated: give --device NAME")
    values["cores"] = values.get("cores") or _cores(source, run, values, warnings)
    if not re.fullmatch(r"[0-9]{1,7}", values.get("batch", "1")) or int(values.get("batch", "1")) < 1:
        raise source.refuse(run.line, f"batch must be a whole number of at least 1, not {values['batch']!r}")
    how = f"{tool.name}, {run.statistic} of {run.passes} passes" if run.passes > 1 else f"{tool.name}, {run.statistic}"
    optional = {name: values.get(name, "") for name in OPTIONAL if name not in ("device", "batch", "family")}
    row = MeasuredRow(
        network=values["network"],
        device=values["device"],
        batch=int(values.get("batch", "1")),
        seconds=run.seconds,
        source="; ".join(filter(None, (how, run.remark, Path(source.path).name))),
        line=run.line,
        path=source.path,
        **optional,
    )
    _require_readable(source, row)
    return row


def _require_readable(source: Source, row: MeasuredRow) -> None:
    """Refuse a row that its device has no such cores for, or that would not be read back."""
    written = parse_rows(Ingested(rows=(row,), problems=()).to_csv(), source.path)
    if written.problems:
        raise source.refuse(row.line, written.problems[0].message)
    known = _known(row.device)
    try:
        if known is None:
            parse_cores(row.cores or "large=1", _ANY_CORES)
        elif not row.processor or row.processor in known.profile.processors:
            resolve_target(known, processor=row.processor or None, cores=row.cores or None)
    except CostModelError as error:
        raise source.refuse(row.line, str(error)) from None


def _called(text: str) -> str:
    """The network of the zoo that a path or a name means; empty where it means none."""
    name = _ENDINGS.sub("", Path(text).name)
    try:
        zoo.find(name)
    except CostModelError:
        return ""
    return name


def _by_file(source: Source, run: Run) -> str:
    """The network by the log's own name, where the tool does not name one."""
    name = "" if run.model else _called(Path(source.path).stem)
    if not name:
        called = f"{run.model!r} is no network of the zoo" if run.model else "which network was measured is not stated"
        raise source.refuse(run.line, f"{called}: give --network NAME, or name a file of it")
    return name


def _cores(source: Source, run: Run, values: Mapping[str, str], warnings: list[str]) -> str:
    """The cores of so many threads, the fastest ones of the device; empty where none are stated."""
    if run.threads is None or values.get("processor", "cpu") != "cpu":
        return ""
    known = _known(values["device"])
    try:
        if known is not None:
            return resolve_target(known, processor="cpu", threads=run.threads).cores_text or ""
    except CostModelError as error:
        raise source.refuse(run.line, str(error)) from None
    warnings.append(f"{values['device']} has no profile yet: {run.threads} threads are taken to be its large cores; say which with --cores")
    return f"large={run.threads}"


def _known(name: str) -> Device | None:
    try:
        return device(name)
    except CostModelError:
        return None


def _possible(rows: Sequence[MeasuredRow]) -> tuple[list[MeasuredRow], tuple[RowProblem, ...]]:
    """The rows that their device can reach, and the others; rows of devices without a profile, or of runtimes that it lacks, are not judged."""
    refused: list[RowProblem] = []
    for name in dict.fromkeys(row.device for row in rows):
        known = _known(name)
        if known is not None:
            judged = [row for row in rows if row.device == name and _has(known, row) and not names_network_file(row.network)]
            refused += collect(judged, known).problems
    places = {(problem.path, problem.line) for problem in refused}
    return [row for row in rows if (row.path, row.line) not in places], tuple(refused)


def _has(known: Device, row: MeasuredRow) -> bool:
    try:
        resolve_target(known, processor=row.processor or None, runtime=row.runtime or None, dtype=row.dtype or None, cores=row.cores or None)
    except CostModelError:
        return False
    return True


def _together(rows: Iterable[MeasuredRow], warnings: list[str]) -> tuple[MeasuredRow, ...]:
    """One row a case: the median of its repeats."""
    cases: dict[tuple[object, ...], list[MeasuredRow]] = {}
    for row in rows:
        cases.setdefault(row.case, []).append(row)
    found = []
    for repeats in cases.values():
        seconds = [row.seconds for row in repeats]
        first = repeats[0]
        if max(seconds) > REPEATS_APART * min(seconds):
            low, high = min(seconds) * 1e3, max(seconds) * 1e3
            warnings.append(f"{first.network} on {first.cores or first.processor or first.device}: repeats differ, {low:.4g} to {high:.4g} ms; was it hot?")
        text = first.source if len(repeats) == 1 else f"median of {len(repeats)} logs: " + " | ".join(row.source for row in repeats)
        found.append(replace(first, seconds=statistics.median(seconds), source=text, date=max(row.date for row in repeats)))
    return tuple(found)
