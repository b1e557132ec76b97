"""Running a TFLite kit on this machine with LiteRT (extra `litert`): ``python run_here.py DEVICE`` in the kit.

On one thread a pass takes the CPU time of the process, so that being descheduled does not count; a run in which the processor was shared too much,
or whose passes disagree, is repeated and then refused. Pinning to CPUs is the system's, where it has that.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from costmodel import durable
from costmodel._version import __version__
from costmodel.errors import CostModelError, InvalidFileError, UsageError
from costmodel.measuring.logs._here import KEY, VERSION
from costmodel.reference._measure import MAX_SPREAD, ContendedError

#: Passes before the timed ones.
_WARM_UP = 3
#: Share of the wall time that one busy thread must have had the processor for: CPU time leaves descheduling out, but not the caches that others empty.
_LEAST_SHARE = 0.5


def run_kit(
    kit: str | os.PathLike[str],
    device: str,
    *,
    logs: str | os.PathLike[str] | None = None,
    cores: str = "large=1",
    cpus: Sequence[int] = (),
    passes: int = 20,
    attempts: int = 5,
    xnnpack: bool = False,
    allow_contention: bool = False,
    told: Callable[[str], None] = lambda text: None,
) -> tuple[Path, ...]:
    """Run every network of a TFLite kit here and write one log for each; networks that have a log are not run again.

    Parameters
    ----------
    kit : the folder that `costmodel.kit` wrote.
    device : what the rows call this machine.
    logs : the folder for logs; None is ``logs`` in the kit.
    cores : what the rows call the cores in use; as many threads run.
    cpus : numbers of the CPUs to stay on; none leaves it to the system.
    passes, attempts : timed passes of a run, and how often one that was disturbed is tried.
    xnnpack : run with that delegate instead of the built-in kernels.
    allow_contention : keep a disturbed run; its log says so.

    Raises
    ------
    UsageError
        If LiteRT is missing, the kit is for another runtime, or the numbers make no sense.
    InvalidFileError
        If the folder is no kit, or a file of it cannot be loaded.
    ContendedError
        If other programs disturbed a run in every attempt; the logs of the others are kept.
    """
    document = _manifest(Path(kit))
    threads = _threads(cores)
    if passes < 3 or attempts < 1:
        raise UsageError(f"a run takes at least 3 passes and 1 attempt, not {passes} and {attempts}")
    folder = Path(logs or Path(kit) / "logs")
    folder.mkdir(parents=True, exist_ok=True)
    stated = {"device": device, "processor": "cpu", "runtime": "tflite-xnnpack" if xnnpack else "tflite", "cores": cores}
    stated |= {"dtype": document["dtype"], "batch": document["batch"]}
    written, disturbed = [], []
    for entry in document["networks"]:
        path = folder / f"{entry['network']}.{stated['runtime']}.{cores}.json"
        if path.exists():
            continue
        with _pinned(cpus):
            run = _run(Path(kit) / "models" / entry["file"], threads, passes, attempts, xnnpack)
        if run["contended"] and not allow_contention:
            disturbed.append(f"{entry['network']}: {run['contended']}")
            continue
        log = {KEY: VERSION, "network": entry["network"], **stated, "date": datetime.date.today().isoformat(), **run}
        durable.write_text(path, json.dumps(log, indent=1) + "\n")
        written.append(path)
        told(f"{entry['network']}: {statistics.median(run['passes_s']) * 1e3:.4g} ms")
    if disturbed:
        raise ContendedError("the machine is busy; stop other programs and run this again, logs that are there are kept:\n" + "\n".join(disturbed))
    return tuple(written)


def _manifest(kit: Path) -> dict[str, Any]:
    path = kit / "kit.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidFileError(f"{path}: cannot be read: {error.strerror or error}; give the folder that costmodel kit wrote") from None
    except ValueError as error:
        raise InvalidFileError(f"{path}: is no JSON: {error}") from None
    if not isinstance(document, dict) or "costmodel_kit" not in document or not isinstance(document.get("networks"), list):
        raise InvalidFileError(f"{path}: is no kit's manifest")
    if document.get("runtime") != "tflite":
        raise UsageError(f"{kit}: is a kit for {document.get('runtime')}; LiteRT runs those for tflite")
    return document


def _threads(cores: str) -> int:
    counts = [part.partition("=")[2] for part in cores.split(",")]
    if not all(count.isascii() and count.isdigit() and 0 < int(count) < 10_000 for count in counts):
        raise UsageError(f"cores must look like large=1,medium=3, not {cores!r}")
    return sum(map(int, counts))


@contextlib.contextmanager
def _pinned(cpus: Sequence[int]) -> Iterator[None]:
    """The process on these CPUs alone, and as before afterwards."""
    if not cpus:
        yield
        return
    if not hasattr(os, "sched_setaffinity"):
        raise UsageError("this system has no way to stay on some CPUs: leave --cpus out")
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, cpus)
    except (OSError, ValueError):
        raise UsageError(f"CPUs {', '.join(map(str, cpus))} cannot be had: this process may use {', '.join(map(str, sorted(before)))}") from None
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _run(path: Path, threads: int, passes: int, attempts: int, xnnpack: bool) -> dict[str, Any]:
    """The times of a file, of the first attempt that nothing disturbed, or the last."""
    interpreter = _interpreter(path, threads, xnnpack)
    clock = time.process_time if threads == 1 else time.perf_counter
    found: dict[str, Any] = {}
    for _ in range(attempts):
        for _ in range(_WARM_UP):
            interpreter.invoke()
        times = []
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(passes):
            start = clock()
            interpreter.invoke()
            times.append(clock() - start)
        share = (time.process_time() - cpu) / (time.perf_counter() - wall) / threads
        found = {
            "by": f"LiteRT {metadata.version('ai-edge-litert')}, costmodel {__version__}",
            "clock": "CPU" if threads == 1 else "wall",
            "threads": threads,
            "cpu_share": share,
            "contended": _contended(times, share, threads),
            "passes_s": times,
        }
        if not found["contended"]:
            break
    return found


def _contended(times: Sequence[float], share: float, threads: int) -> str:
    """Why a run cannot be trusted; empty where it can."""
    quartiles = statistics.quantiles(times, n=4)
    spread = (quartiles[2] - quartiles[0]) / statistics.median(times)
    if threads == 1 and share < _LEAST_SHARE:
        return f"the process had the processor for {share:.0%} of the time (at least {_LEAST_SHARE:.0%} is needed)"
    return f"passes differ by {spread:.0%} (at most {MAX_SPREAD:.0%} is allowed)" if spread > MAX_SPREAD else ""


def _interpreter(path: Path, threads: int, xnnpack: bool) -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
    except ImportError:
        raise UsageError("running a kit here needs ai-edge-litert: pip install 'costmodel[litert]'") from None
    import numpy

    kind = OpResolverType.BUILTIN if xnnpack else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        interpreter = Interpreter(model_path=str(path), num_threads=threads, experimental_op_resolver_type=kind)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise InvalidFileError(f"{path}: LiteRT cannot load it: {error}") from None
    generator = numpy.random.default_rng(0)
    for detail in interpreter.get_input_details():
        drawn = generator.uniform(-1, 1, detail["shape"])
        interpreter.set_tensor(detail["index"], (drawn * (127 if detail["dtype"] is numpy.int8 else 1)).astype(detail["dtype"]))
    return interpreter


def main(kit: Path, arguments: Sequence[str] | None = None) -> int:
    """The command line of a kit's ``run_here.py``; returns the exit code."""
    parser = argparse.ArgumentParser(prog="run_here.py", description="Run the networks of this kit here with LiteRT, one log a run.")
    parser.add_argument("device", help="what the rows call this machine")
    parser.add_argument("--logs", type=Path, help="folder for the logs (logs in the kit)")
    parser.add_argument("--cores", default="large=1", help="what the rows call the cores in use (large=1); as many threads run")
    parser.add_argument("--cpus", default="", help="numbers of the CPUs to stay on, such as 0,1")
    parser.add_argument("--passes", type=int, default=20, help="timed passes of each run (20)")
    parser.add_argument("--xnnpack", action="store_true", help="run with the XNNPACK delegate instead of the built-in kernels")
    parser.add_argument("--allow-contention", action="store_true", help="keep runs that other programs disturbed")
    given = vars(parser.parse_args(arguments))
    try:
        given["cpus"] = [int(text) for text in given["cpus"].split(",") if text]
        run_kit(kit, given.pop("device"), told=print, **given)
    except ValueError:
        print(f"error: --cpus must be numbers such as 0,1, not {given['cpus']!r}", file=sys.stderr)
        return 2
    except CostModelError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0
