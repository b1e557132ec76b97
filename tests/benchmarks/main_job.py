"""How light the main job is. Prints ratios and CPU times, asserts nothing.

    python -m tests.benchmarks.main_job

- whole process: CPU time of ``costmodel analyze efficientnet-b5 --device pixel4`` over that of ``python -c "import torch"``
  (median of 10 pairs in turn; promised: at most 0.25), and its peak memory (promised: at most 150 MB)
- in process: CPU time of building efficientnet-b0 (promised: at most 15 ms) and of estimating it (at most 5 ms)
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import costmodel

PAIRS = 10
MAIN_JOB = [sys.executable, "-m", "costmodel", "analyze", "efficientnet-b5", "--device", "pixel4"]
IMPORT_TORCH = [sys.executable, "-c", "import torch"]


def process(command: list[str]) -> tuple[float, float]:
    """(CPU seconds, peak MB) of one run of a command."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} failed with {child.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e3


def milliseconds(call: Callable[[], object], *, rounds: int = 5, repeats: int = 20) -> float:
    """CPU milliseconds of one call: the median over rounds of the mean over repeats."""
    call()
    found = []
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(repeats):
            call()
        found.append((time.process_time() - start) / repeats * 1e3)
    return statistics.median(found)


def main() -> None:
    """Print the figures."""
    graph, target = costmodel.build("efficientnet-b0"), costmodel.target("pixel4")
    print(f"build efficientnet-b0      {milliseconds(lambda: costmodel.build('efficientnet-b0')):6.2f} ms CPU (promised 15)")
    print(f"estimate of efficientnet-b0 {milliseconds(lambda: costmodel.estimate(graph, target=target)):5.2f} ms CPU (promised 5)")
    with_torch = importlib.util.find_spec("torch") is not None
    pairs = [(process(MAIN_JOB), process(IMPORT_TORCH) if with_torch else (0.0, 0.0)) for _ in range(PAIRS)]
    jobs = [job for job, _ in pairs]
    print(f"main job                   {statistics.median(cpu for cpu, _ in jobs):6.3f} s CPU, {max(peak for _, peak in jobs):.0f} MB (promised 150)")
    if with_torch:
        ratio = statistics.median(job[0] / torch[0] for job, torch in pairs)
        print(f"over importing torch       {ratio:6.3f} (promised 0.25; import torch takes {statistics.median(t for _, (t, _) in pairs):.3f} s CPU)")
    else:
        print("over importing torch       not measured: torch is not installed (extra `torch`)")


if __name__ == "__main__":
    main()
