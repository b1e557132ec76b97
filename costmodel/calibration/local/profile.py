"""What the profiles of this machine's CPU and of its GPU have in common before the fit: the head, a precision with its priors, and how numbers are rounded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from costmodel.calibration.profile_text import Table, tables

#: Share of the peak in the best contraction of a plan, and of the bandwidth in the best stream: where what was seen is above what is stated, the peak is
#: that over this.
BEST_SHARE = 0.95
#: Before any interval is known: what a profile of priors may promise.
_FACTOR = 2.0


def head(name: str, *, chip: str, category: str, processor: str, year: int, what: str, system: str, **sources: str) -> list[str]:
    """The lines that a profile begins with; `what` says what was measured, `system` who states the hardware, `sources` what else numbers are from."""
    return tables(
        {
            "schema": 1,
            "name": name,
            "title": f"{chip}, measured",
            "category": category,
            "chip": chip,
            "year": year,
            "version": "1",
            "default_processor": processor,
            "sources": {"system": system, "reached": f"the fastest contraction and streams of {what}; a peak is that over {BEST_SHARE}", **sources},
        }
    )


def precision_table(processor: str, runtime: str, dtype: str) -> Table:
    """Where a profile states what is known of a runtime in a precision."""
    return ("processors", processor, "runtimes", runtime, "dtypes", dtype)


def precision(table: Table, layout: str, parameters: Mapping[str, Any], **measured: Any) -> list[str]:
    """The lines of a precision whose law has priors for `parameters`; `measured` says of what kinds, cores and batches there are measurements."""
    interval = {"value": _FACTOR, "kind": "assumed", "source": "prior"}
    lines = tables({"basis": "datasheet", "interval_factor": interval, "layout": layout, **measured}, table)
    return lines + tables({"kind": "assumed", "source": "prior", **parameters}, (*table, "parameters"))


def short(value: float) -> float:
    """A number as it is worth writing: four digits."""
    return float(f"{value:.4g}")
