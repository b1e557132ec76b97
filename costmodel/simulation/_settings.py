"""`Settings`: what of the machine is simulated beyond what an estimate has."""

from __future__ import annotations

from dataclasses import dataclass

from costmodel.errors import UsageError, whole
from costmodel.kernel import Program
from costmodel.simulation._memory import require_policy

#: Launches that a CUDA stream takes before the call that issues one more waits: about a thousand on current drivers (NVIDIA developer forums; undocumented).
QUEUE_DEPTH = 1024
_MOST = 10**6
#: Bytes a second of a link: from one to as good as endless, a gigabyte in a nanosecond.
_LINKS = (1.0, 1e18)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a network is run.

    Parameters
    ----------
    overlap : whether things that do not depend on each other may run at once; without, everything follows in order as an estimate has it.
    parallel : operators that run at once where the graph has branches: inter-operator threads of a CPU, streams of a GPU.
    own_cores : an operator of a CPU keeps to its share of the cores even where it runs alone, as with one thread an operator.
    inferences, in_flight : passes one after the other, and how many of them may have begun before the first of these has ended.
    policy : what happens where memory does not suffice: ``fail``, ``ignore`` (at no cost), ``spill`` or ``evict``.
    cuda_graph : a GPU's kernels are launched together, at the host's cost of one; nothing changes where the profile's launch costs nothing.
    copies : inputs are copied to a GPU and outputs back.
    quantise : the host of an Edge TPU quantises inputs and dequantises outputs.
    queue_depth : launches that a GPU's host may be ahead of the device; without effect where kernels are launched together, or on other machines.
    link_bytes_per_s : another link than the profile's between an accelerator and its host.
    co_compiled : programs that an Edge TPU holds beside this one; parameters fill the cache in this order, this program's last.

    Raises
    ------
    UsageError
        If a value cannot be meant.
    """

    overlap: bool = True
    parallel: int = 1
    own_cores: bool = False
    inferences: int = 1
    in_flight: int = 1
    policy: str = "fail"
    cuda_graph: bool = False
    copies: bool = False
    quantise: bool = False
    queue_depth: int = QUEUE_DEPTH
    link_bytes_per_s: float | None = None
    co_compiled: tuple[Program, ...] = ()

    def __post_init__(self) -> None:
        require_policy(self.policy)
        for name in ("parallel", "inferences", "in_flight", "queue_depth"):
            whole(name.replace("_", " "), getattr(self, name), 1, _MOST)
        rate = self.link_bytes_per_s
        if rate is not None and not _LINKS[0] <= rate <= _LINKS[1]:
            raise UsageError(f"a link of {rate:g} B/s is none: give it a bandwidth of {_LINKS[0]:g} to {_LINKS[1]:g} B/s")
        if not self.overlap and (self.parallel > 1 or self.in_flight > 1):
            raise UsageError("without overlap nothing runs at once: leave parallel and in_flight at 1, or overlap on")
