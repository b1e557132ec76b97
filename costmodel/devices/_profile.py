"""The schema of a device profile. Keys carry their unit; SI base units begin where a profile becomes a `Machine`.

Every number in a file carries a `kind` and a `source`, its own or its table's; both are taken out before this schema is
applied and kept in `Device.provenance`. Law parameters are validated by the law (`parameters` here is plain data).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from costmodel.frozen import FrozenDict
from costmodel.tensor import PrecisionName

KINDS = ("datasheet", "measured", "fitted", "assumed")

Basis = Literal["calibrated", "transferred", "datasheet"]
#: The narrowest 90 % factor that each basis deserves: leave-device-out errors of datasheet models reach a factor of 2
#: (NeuSight's public rows), constants carried over from a relative err by 10-13 % with 90th percentiles near 30 %.
LEAST_FACTOR: dict[Basis, float] = {"calibrated": 1.0, "transferred": 1.2, "datasheet": 2.0}
LayoutName = Literal["nchw", "nhwc"]
#: More than any device has of a figure, so that a slip of the keyboard is seen: capacities in KiB and GiB, bandwidths in GB/s, watts and picojoules.
_MOST = 1e9
#: FLOP per cycle of a core at most: Intel's AMX, the widest of today's CPU cores, does 2,048 int8 operations (Intel, Architecture Day 2021,
#: Sapphire Rapids); of a whole accelerator in TFLOP/s, an NVIDIA GB200 superchip has 20,000 dense in 4 bits (its datasheet).
_MOST_PER_CYCLE, _MOST_TFLOP_PER_S = 65_536, 1e6
_MOST_GHZ = 10
Positive = Annotated[float, Field(gt=0, le=_MOST)]
NonNegative = Annotated[float, Field(ge=0, le=_MOST)]
Clock = Annotated[float, Field(gt=0, le=_MOST_GHZ)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]


def freeze(value: Any) -> Any:
    """`value` with every dict in it, however deep, read-only."""
    if isinstance(value, dict):
        return FrozenDict({key: freeze(item) for key, item in value.items()})
    return tuple(freeze(item) for item in value) if isinstance(value, list | tuple) else value


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True, defer_build=True)

    @model_validator(mode="after")
    def _freeze(self) -> Self:
        """Mappings inside become read-only: a profile is shared by everyone in the process."""
        for name, value in self.__dict__.items():
            if isinstance(value, dict):
                self.__dict__[name] = freeze(value)
        return self


class Cache(_Table):
    """A cache or on-chip memory: capacity that the cores in use share, and its bandwidth."""

    name: str
    capacity_kib: Positive
    bandwidth_gb_per_s: Positive


class Memory(_Table):
    """Main memory, and the caches before it, fastest first."""

    bandwidth_gb_per_s: Annotated[float, Field(ge=0.01, le=1e6)]
    capacity_gib: Positive | None = None
    caches: tuple[Cache, ...] = ()


class Cluster(_Table):
    """Cores of one kind; peak FLOP per cycle and core by dtype (a MAC is 2).

    `clock_ghz` is that of one busy core, `clock_together_ghz` that of several of the cluster, where it is lower. `last_cache_kib` is the capacity of the
    last cache before the memory, where these cores do not reach the processor's largest.
    """

    name: Literal["large", "medium", "small"]
    core: Name
    cores: Annotated[int, Field(ge=1, le=1024)]
    clock_ghz: Clock
    clock_together_ghz: Clock | None = None
    last_cache_kib: Positive | None = None
    flops_per_cycle: dict[PrecisionName, Annotated[float, Field(gt=0, le=_MOST_PER_CYCLE)]]


class Energy(_Table):
    """E = (static_w + sum of core_w) * t + pj_per_mac * MACs + pj_per_byte * traffic.

    `static_w` is what the processor draws while it runs, whatever runs; `core_w` what a busy core of a cluster adds.
    """

    static_w: NonNegative
    core_w: dict[str, NonNegative] = {}
    pj_per_mac: dict[PrecisionName, NonNegative]
    pj_per_byte: NonNegative


class Precision(_Table):
    """What is known of one runtime in one dtype: the law's parameters, what measurements back them, how far they err.

    A latency lies within a factor `interval_factor` of the estimate with 90 % probability (`parallel_interval_factor` with
    several threads), the ratio of two latencies of this target within `difference_factor` of the estimates' ratio: errors of
    one device share causes. Work of a kind outside `measured_kinds` rests on an assumption and says so. `layout`,
    `measured_cores` and `measured_batches` are the layout (or layouts), the core selections and the least and largest batch that
    the measurements had: others are ``transferred``, and their interval is wider.
    """

    basis: Basis
    interval_factor: Annotated[float, Field(ge=1, le=100)]
    difference_factor: Annotated[float, Field(ge=1, le=100)] | None = None
    parallel_interval_factor: Annotated[float, Field(ge=1, le=100)] | None = None
    measured_kinds: tuple[str, ...] = ()
    layout: LayoutName | tuple[LayoutName, ...] | None = None
    measured_cores: tuple[str, ...] = ()
    measured_batches: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = None
    parameters: dict[str, Any]


class Runtime(_Table):
    """A software stack on a processor: how it lowers graphs, the law that prices them, its layouts (the default first).

    `like` takes the precisions of another runtime of the same processor: the same kernels, lowered differently, by a build
    that the measurements did not have, for which `widened_by` multiplies the interval factors; `differs` are parameters of a
    precision that this build has otherwise.
    `host` names processor and runtime of this device for what an accelerator leaves to the CPU.
    """

    lowering: str
    law: str
    layouts: Annotated[tuple[LayoutName, ...], Field(min_length=1)]
    like: str | None = None
    widened_by: Annotated[float, Field(ge=1, le=10)] = 1.0
    differs: dict[PrecisionName, dict[str, Any]] = {}
    host: tuple[str, str] | None = None
    dtypes: dict[PrecisionName, Precision] = {}


class Processor(_Table):
    """A compute unit. A CPU states clusters, from which its peak follows; others state their peaks."""

    type: Literal["cpu", "gpu", "edgetpu"]
    default_runtime: str
    default_dtype: PrecisionName
    default_cores: str | None = None
    clusters: tuple[Cluster, ...] = ()
    peak_tflop_per_s: dict[PrecisionName, Annotated[float, Field(gt=0, le=_MOST_TFLOP_PER_S)]] = {}
    clock_ghz: Clock | None = None
    multiprocessors: Annotated[int, Field(ge=1, le=100_000)] = 1
    memory: Memory
    energy: Energy | None = None
    runtimes: dict[Name, Runtime]


class Profile(_Table):
    """A device: its processors by name, and what it is."""

    schema_version: Annotated[Literal[1], Field(alias="schema")]
    name: Name
    title: str
    category: Literal["phone", "board", "edge-tpu", "gpu", "server-cpu", "desktop-cpu"]
    chip: str
    year: Annotated[int, Field(ge=1990, le=2100)]
    version: str
    default_processor: Name
    processors: dict[Name, Processor]


class Provenance(NamedTuple):
    """Where a number is from: its value as written, one of `KINDS`, and the source spelled out; for a fitted one, what it was taken to be before.

    `key` is the source's in the profile's table of sources; empty where there is no such table.
    """

    value: float
    kind: str
    source: str
    prior: float | None = None
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A validated profile with the provenance of its numbers, by dotted key path, and the file's hash."""

    profile: Profile
    provenance: Mapping[str, Provenance]
    path: str
    sha256: str

    @property
    def name(self) -> str:
        """The profile's name."""
        return self.profile.name
