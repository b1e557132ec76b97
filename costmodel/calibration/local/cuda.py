"""torch eager on an NVIDIA GPU: what executes a case there, and what times it.

An operator of a few microseconds takes the host longer to issue than the GPU to run. What the GPU takes is timed by events around replays of a CUDA graph that
holds many passes of the case (torch.cuda.CUDAGraph), so that no kernel waits for the host; what the host takes to issue a network, kernel by kernel, is timed
by the wall clock, in cases of their own. A fixed workload before and after every case notices who else uses the GPU, and clocks that fall.
"""

from __future__ import annotations

import contextlib
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from costmodel.calibration.local.backends import LAYOUTS, TORCH_EAGER, in_turn
from costmodel.calibration.local.plan import Case
from costmodel.calibration.local.timing import SPREAD, Probes, Timed, copies_of, spread_of
from costmodel.errors import UsageError
from costmodel.graph import Graph, Node
from costmodel.reference import Weights, execute, random_weights
from costmodel.reference._execute import random_inputs
from costmodel.reference._torch import require_torch
from costmodel.tensor import PRECISIONS

DTYPES = tuple(name for name in PRECISIONS if name != "int8")
#: Seconds that a replay of a graph takes at least, beside which the microseconds of its launch do not count, and passes that it holds at most.
_REPLAY_S, _MOST_PASSES = 4e-3, 500
#: Second-level caches that a ring of copies fills: with less than two, what is read again is still there.
_CACHES = 3
_LEAST_REPEATS, _MOST_REPEATS = 7, 100
#: Passes that are issued before the host waits for them: the first ones find an idle GPU.
_ISSUED = 10


class TorchCuda:
    """torch, operator by operator, on the current CUDA device, with torch's own defaults (TF32 where they allow it).

    ``amp`` is autocast to fp16 around tensors in fp32; weights are cast at every pass, as autocast does without gradients.

    Raises
    ------
    UsageError
        If torch sees no GPU, or for an unknown precision or layout.
    """

    processor, runtime, plans_memory = "gpu", TORCH_EAGER, True  # a graph's tensors have their places

    def __init__(self, dtype: str, layout: str) -> None:
        self.torch = require_torch()
        if dtype not in DTYPES or layout not in LAYOUTS:
            raise UsageError(f"a GPU is measured in {', '.join(DTYPES)} and the layouts {' and '.join(LAYOUTS)}, not in {dtype} and {layout}")
        if not self.torch.cuda.is_available():
            raise UsageError("measuring a GPU here needs one: this torch sees no NVIDIA GPU (torch.cuda.is_available() is False)")
        self.dtype: str = dtype
        self.layout = layout
        self.properties = self.torch.cuda.get_device_properties(self.torch.cuda.current_device())
        self.builds = {"torch": self.torch.__version__, "cuda": str(self.torch.version.cuda), "cudnn": str(self.torch.backends.cudnn.version())}

    @property
    def chip(self) -> str:
        """As the driver names it."""
        return str(self.properties.name)

    @property
    def chosen(self) -> dict[str, Any]:
        """The precision."""
        return {"dtype": self.dtype}

    def prepared(self, case: Case, copies: int) -> Callable[[], Any]:
        """What issues the case once, on the next of so many copies of its tensors each time."""
        graph = case.graph
        loaded = []
        for copy in range(copies):
            inputs = tuple(map(self._arranged, random_inputs(graph, seed=copy, device="cuda")))
            drawn = random_weights(graph, seed=copy, device="cuda")
            weights = {node.name: self._held(node, drawn.get(node.name, {})) for node in graph.nodes if not node.shares}
            loaded.append(partial(self._pass, graph, inputs, weights))
        return in_turn(loaded)

    def _pass(self, graph: Graph, inputs: Sequence[Any], weights: Weights) -> Any:
        casts = self.torch.autocast("cuda", self.torch.float16, cache_enabled=False) if self.dtype == "amp" else contextlib.nullcontext()
        with casts:
            return execute(graph, inputs, weights, device="cuda")

    def _held(self, node: Node, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """A node's weights as they are used; statistics of a normalisation, which an operator would otherwise make at every pass, in kernels of their own."""
        statistics = {name: self.torch.ones(shape, device="cuda") for name, shape in node.operator.statistics(*node.inputs).items()}
        return {name: self._arranged(tensor) for name, tensor in {**statistics, **drawn}.items()}

    def _arranged(self, tensor: Any) -> Any:
        """A tensor in the precision, images and filters in the layout."""
        wanted = {"fp16": self.torch.float16, "bf16": self.torch.bfloat16}.get(self.dtype)
        if wanted is not None and tensor.is_floating_point():
            tensor = tensor.to(wanted)
        return tensor.to(memory_format=self.torch.channels_last) if self.layout == "nhwc" and tensor.dim() == 4 else tensor


class CudaBench:
    """Times cases on a GPU, each for `seconds_a_case` at most."""

    def __init__(self, backend: TorchCuda, *, seconds_a_case: float = 0.4) -> None:
        self.torch, self.backend, self.seconds_a_case = backend.torch, backend, seconds_a_case
        self.entry: tuple[Case, ...] = ()  # a replay is no call of a model
        self.entry_s = 0.0
        self.starts: tuple[Case, ...] = ()  # nor has it a host that starts kernels
        self.ring_bytes = _CACHES * backend.properties.L2_cache_size
        self._square, self._line = self.torch.randn(2048, 2048, device="cuda"), self.torch.randn(1 << 24, device="cuda")
        self._product, self._sum = self.torch.empty_like(self._square), self.torch.empty_like(self._line)
        self.probes = Probes(lambda: self._events(self._fixed))

    def time(self, case: Case) -> Timed:
        """Seconds of one pass of a case; what cannot be run or captured has its reason as a lasting fault."""
        try:
            run = self.backend.prepared(case, copies_of(case, plans_memory=self.backend.plans_memory, ring_bytes=self.ring_bytes))
            before = self.probes.take()
            taken = self._repeated(self._issued(run) if case.role == "host" else self._captured(run))
            fault = self.probes.fault(before, self.probes.take())
        except RuntimeError as error:  # torch's own, of memory (OutOfMemoryError) and of operators that a graph cannot hold
            run = None
            self.torch.cuda.synchronize()
            self.torch.cuda.empty_cache()
            return Timed(seconds=math.nan, spread=0.0, repeats=0, fault=str(error).partition("\n")[0], lasting=True)
        spread = spread_of(taken)
        if not fault and spread > SPREAD:
            fault = f"repeats differ by {spread:.0%}"
        return Timed(seconds=statistics.median(taken), spread=spread, repeats=len(taken), fault=fault)

    def memory_bytes_per_s(self) -> float:
        """Bytes a second that are read and written in memory no cache holds: 1 GiB, in place, the best of five."""
        line = self.torch.ones(1 << 28, device="cuda")
        taken = [self._events(lambda: line.add_(1.0)) for _ in range(5)]
        return float(2 * 4 * line.numel() / min(taken))

    def _repeated(self, once: Callable[[], float]) -> list[float]:
        taken, wall = [once()], time.perf_counter()
        while len(taken) < _LEAST_REPEATS or (time.perf_counter() - wall < self.seconds_a_case and len(taken) < _MOST_REPEATS):
            taken.append(once())
        return taken

    def _captured(self, run: Callable[[], Any]) -> Callable[[], float]:
        """What replays a graph of many passes and tells the seconds of one."""
        cuda = self.torch.cuda
        side = cuda.Stream()
        side.wait_stream(cuda.current_stream())
        with cuda.stream(side):
            for _ in range(3):  # libraries choose kernels and take their buffers at the first passes
                run()
        cuda.current_stream().wait_stream(side)
        passes = 1
        for _ in range(3):  # a first graph says how many passes the next should hold
            graph = cuda.CUDAGraph()
            with cuda.graph(graph):
                for _ in range(passes):
                    run()
            graph.replay()
            seconds = self._events(graph.replay)
            if seconds >= _REPLAY_S or passes == _MOST_PASSES:
                break
            passes = min(_MOST_PASSES, math.ceil(1.5 * passes * _REPLAY_S / seconds))
        return lambda: self._events(graph.replay) / passes

    def _issued(self, run: Callable[[], Any]) -> Callable[[], float]:
        """What issues passes one after the other and tells the seconds of one by the wall clock."""
        for _ in range(3):
            run()

        def once() -> float:
            self.torch.cuda.synchronize()
            start = time.perf_counter()
            for _ in range(_ISSUED):
                run()
            self.torch.cuda.synchronize()
            return (time.perf_counter() - start) / _ISSUED

        return once

    def _events(self, run: Callable[[], Any]) -> float:
        """Seconds between two events around what `run` enqueues."""
        start, end = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) * 1e-3

    def _fixed(self) -> None:
        self.torch.mm(self._square, self._square, out=self._product)
        self.torch.add(self._line, 1.0, out=self._sum)
