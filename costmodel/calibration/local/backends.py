"""What executes a case here: each backend is a runtime of the profile, with its own lowering, layout and constants.

torch executes graphs operator by operator; LiteRT and ONNX Runtime execute the files that this package exports, so that what is measured is what a user
of `costmodel export` would run. A case runs on several copies of its tensors in turn, which for a file means several loaded models.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

from costmodel.calibration.local.plan import Case
from costmodel.devices import device
from costmodel.errors import UsageError, unknown
from costmodel.graph import Graph
from costmodel.importers.files import write_file
from costmodel.reference import execute, random_weights
from costmodel.reference._execute import random_inputs
from costmodel.reference._torch import require_torch

LAYOUTS = ("nchw", "nhwc")
TORCH_EAGER = "torch-eager"
#: Runtimes whose files hold images in one layout.
_LITERT = ("tflite", "tflite-xnnpack")
_ONNXRUNTIME = "onnxruntime"
#: Passes of which a profile tells the parts: the first ones are slow in all of them alike.
_PROFILED = 40
RUNTIMES = (TORCH_EAGER, *_LITERT, _ONNXRUNTIME)


class Backend(Protocol):
    """Executes cases on a processor in a precision; images lie as `layout` says."""

    processor: str
    runtime: str
    dtype: str
    layout: str
    #: Library -> version.
    builds: dict[str, str]
    #: Whether activations have their places before anything runs, so that an operator finds its input where the one before wrote it, and
    #: whether all operators are run by one call, so that a network pays for the call once.
    plans_memory: bool

    def prepared(self, case: Case, copies: int) -> Callable[[], Any]:
        """What runs the case once, on the next of so many copies of its tensors each time."""
        ...

    @property
    def chip(self) -> str:
        """The processor as the system names it."""
        ...

    @property
    def chosen(self) -> dict[str, Any]:
        """What it was made for besides runtime and layout."""
        ...


class CpuBackend(Backend, Protocol):
    """Executes cases with `threads` threads of this machine's CPU."""

    threads: int

    def own_share(self, case: Case) -> float:
        """The share of a pass that is the case's own, rather than what only a model of a single operator needs around it."""
        ...


class _OnCpu:
    """What the backends of this machine's CPU have in common."""

    processor, dtype = "cpu", "fp32"
    threads: int

    @property
    def chip(self) -> str:
        return device("this-machine").profile.chip

    @property
    def chosen(self) -> dict[str, Any]:
        return {"threads": self.threads}

    def own_share(self, case: Case) -> float:
        return 1.0


def backend(runtime: str, *, threads: int, layout: str) -> CpuBackend:
    """The backend of a runtime; `layout` is torch's, the others have their own.

    Raises
    ------
    UnknownNameError
        If no backend has that runtime.
    UsageError
        If the library is missing: says how to install it.
    """
    if runtime == TORCH_EAGER:
        return TorchEager(threads, layout)
    if runtime in _LITERT:
        return LiteRT(runtime, threads)
    if runtime == _ONNXRUNTIME:
        return OnnxRuntime(threads)
    raise unknown("runtime of this machine", runtime, RUNTIMES)


class TorchEager(_OnCpu):
    """torch, operator by operator."""

    runtime, plans_memory = TORCH_EAGER, False

    def __init__(self, threads: int, layout: str) -> None:
        self.torch = require_torch()
        self.torch.set_num_threads(threads)
        self.threads, self.layout = threads, layout
        self.builds = {"torch": self.torch.__version__}

    def prepared(self, case: Case, copies: int) -> Callable[[], Any]:
        graph = case.graph
        loaded = [partial(execute, graph, self._arranged(random_inputs(graph, seed=copy)), self._weights(graph, copy)) for copy in range(copies)]
        return in_turn(loaded)

    def _weights(self, graph: Graph, seed: int) -> dict[str, dict[str, Any]]:
        drawn = random_weights(graph, seed=seed)
        return {node: dict(zip(own, self._arranged(list(own.values())), strict=True)) for node, own in drawn.items()}

    def _arranged(self, tensors: Sequence[Any]) -> tuple[Any, ...]:
        """Images and filters in the layout."""
        if self.layout == "nchw":
            return tuple(tensors)
        last = self.torch.channels_last
        return tuple(tensor.to(memory_format=last) if tensor.dim() == 4 else tensor for tensor in tensors)


class LiteRT(_OnCpu):
    """LiteRT on exported files: its built-in kernels, or XNNPACK's."""

    layout, plans_memory = "nhwc", True

    def __init__(self, runtime: str, threads: int) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter, OpResolverType
        except ImportError:
            raise UsageError(f"measuring {runtime} here needs ai-edge-litert: pip install 'costmodel[litert,tflite,torch]'") from None
        self._interpreter = Interpreter
        self._kernels = OpResolverType.BUILTIN if runtime == "tflite-xnnpack" else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        self.runtime, self.threads = runtime, threads
        self.builds = {"ai-edge-litert": metadata.version("ai-edge-litert")}

    def prepared(self, case: Case, copies: int) -> Callable[[], Any]:
        import numpy

        data = _exported(case.graph, ".tflite")
        loaded = []
        for seed in range(copies):
            interpreter = self._interpreter(model_content=data, num_threads=self.threads, experimental_op_resolver_type=self._kernels)
            interpreter.allocate_tensors()
            generator = numpy.random.default_rng(seed)
            for detail in interpreter.get_input_details():
                interpreter.set_tensor(detail["index"], generator.standard_normal(detail["shape"]).astype(detail["dtype"]))
            loaded.append(interpreter.invoke)
        return in_turn(loaded)


class OnnxRuntime(_OnCpu):
    """ONNX Runtime's CPU provider on exported files, with all optimisations, one operator after the other."""

    runtime, layout, plans_memory = _ONNXRUNTIME, "nchw", True

    def __init__(self, threads: int) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise UsageError("measuring onnxruntime here needs it: pip install 'costmodel[ort,torch]'") from None
        self._library, self.threads = onnxruntime, threads
        self.builds = {"onnxruntime": onnxruntime.__version__}
        self._last = ("", b"")

    def prepared(self, case: Case, copies: int) -> Callable[[], Any]:
        data = self._data(case)
        loaded = []
        for seed in range(copies):
            session = self._library.InferenceSession(data, self._options(case), providers=["CPUExecutionProvider"])
            loaded.append(partial(session.run_with_iobinding, self._bound(session, case, seed)))
        return in_turn(loaded)

    def profiled(self, case: Case, passes: int) -> list[dict[str, Any]]:
        """The events of the library's own profile of so many passes; times in microseconds."""
        with tempfile.TemporaryDirectory() as folder:
            options = self._options(case)
            options.enable_profiling, options.profile_file_prefix = True, str(Path(folder) / "profile")
            session = self._library.InferenceSession(self._data(case), options, providers=["CPUExecutionProvider"])
            bound = self._bound(session, case, 0)
            for _ in range(passes):
                session.run_with_iobinding(bound)
            events: list[dict[str, Any]] = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
            return events

    def own_share(self, case: Case) -> float:
        """Without the copies into the blocked layout and out of it: between the convolutions of a network there are few."""
        taken = {True: 0.0, False: 0.0}
        for event in self.profiled(case, _PROFILED) if case.role == "operator" and case.graph.macs else ():
            if event.get("cat") == "Node" and str(event["name"]).endswith("_kernel_time"):
                taken[str(event["args"]["op_name"]).startswith("Reorder")] += event["dur"]
        return taken[False] / (taken[False] + taken[True]) if taken[False] else 1.0

    def _data(self, case: Case) -> bytes:
        """The case's file; the last one is kept."""
        if self._last[0] != case.name:
            self._last = (case.name, _exported(case.graph, ".onnx"))
        return self._last[1]

    def _options(self, case: Case) -> Any:
        options = self._library.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        options.log_severity_level = 3
        options.add_free_dimension_override_by_name("batch", case.graph.batch)
        return options

    def _bound(self, session: Any, case: Case, seed: int) -> Any:
        """Inputs and outputs that stay where they are from pass to pass."""
        import numpy

        bound = session.io_binding()
        generator = numpy.random.default_rng(seed)
        for wanted, spec in zip(session.get_inputs(), case.graph.inputs.values(), strict=True):
            drawn = generator.standard_normal(spec.shape).astype(numpy.float32)
            bound.bind_ortvalue_input(wanted.name, self._library.OrtValue.ortvalue_from_numpy(drawn))
        for wanted, ref in zip(session.get_outputs(), case.graph.outputs, strict=True):
            result = self._library.OrtValue.ortvalue_from_shape_and_type(case.graph.spec(ref).shape, numpy.float32)
            bound.bind_ortvalue_output(wanted.name, result)
        return bound


def _exported(graph: Graph, ending: str) -> bytes:
    """The file that `costmodel export` writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"case{ending}"
        write_file(graph, path)
        return path.read_bytes()


def in_turn(loaded: Sequence[Callable[[], Any]]) -> Callable[[], Any]:
    """What runs one after the other of them, and then the first again."""
    position = 0

    def run() -> Any:
        nonlocal position
        ready = loaded[position]
        position = (position + 1) % len(loaded)
        return ready()

    return run
