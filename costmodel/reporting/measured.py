"""Measured beside predicted, by kind of work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from costmodel._version import __version__
from costmodel.estimation import SCHEMA_VERSION, Estimate
from costmodel.quantity import share

if TYPE_CHECKING:
    from costmodel.reference import Measurement


class KindRow(NamedTuple):
    """One kind of work: kernels of it, measured and predicted seconds."""

    kind: str
    kernels: int
    measured_s: float
    predicted_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """A measurement of a network on this machine and the estimate of the same, kind by kind, dearest first.

    `backend` executed it: ``torch``, ``onnxruntime``, or ``litert``, which tells of no operators.
    """

    estimate: Estimate
    measurement: Measurement
    backend: str = "torch"

    @property
    def rows(self) -> tuple[KindRow, ...]:
        """A row for each kind that either side spent time on."""
        measured = self.measurement.by_kind()
        predicted: dict[str, list[float]] = {}
        for kernel in self.estimate.kernels:
            predicted.setdefault(kernel.kind, []).append(kernel.latency_s)
        kinds = {str(kind) for kind, seconds in measured.items() if seconds} | set(predicted)
        rows = [KindRow(kind, len(predicted.get(kind, ())), measured.get(kind, 0.0), sum(predicted.get(kind, ()))) for kind in kinds]  # type: ignore[call-overload]  # kinds are strings
        return tuple(sorted(rows, key=lambda row: (-row.measured_s, -row.predicted_s)))

    def to_dict(self) -> dict[str, Any]:
        """The document that ``costmodel measure --json`` prints."""
        found = self.measurement
        return {
            "schema_version": SCHEMA_VERSION,
            "model": self.estimate.model,
            "input": [list(shape) for shape in self.estimate.inputs],
            "backend": self.backend,
            "threads": found.threads,
            "batch": self.estimate.batch,
            "measured": {
                "latency_s": found.latency_s,
                "spread": found.spread,
                "cpu_share": found.cpu_share,
                "repeats": found.repeats,
                "contended": found.contended,
            },
            "predicted": {
                "latency_s": self.estimate.latency_s,
                "latency_low_s": self.estimate.latency_low_s,
                "latency_high_s": self.estimate.latency_high_s,
                "device": self.estimate.target.device.name,
            },
            "error": share(self.estimate.latency_s, found.latency_s) - 1,
            "kinds": [row._asdict() for row in self.rows],
            "operators": [{"name": entry.name, "kind": str(entry.kind), "seconds": entry.seconds} for entry in found.operators],
            "costmodel_version": __version__,
        }
