"""What a search found, as one document of plain values: what ``--json`` prints, and what tables, pictures and pages are made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from costmodel._version import __version__
from costmodel.estimation import SCHEMA_VERSION, estimate
from costmodel.search._outcome import Outcome
from costmodel.search._table import LatencyTable
from costmodel.search.evaluators import Evaluator
from costmodel.search.outer import identity_of

#: Candidates that a document lists besides the front: the best ones.
_MOST_LISTED = 2000
#: Candidates of the front whose networks are estimated for their intervals; a picture shows no more.
_MOST_ON_FRONT = 200


def document(table: LatencyTable, evaluator: Evaluator, outcome: Outcome, *, algorithm: str, seed: int, warnings: Sequence[str] = ()) -> dict[str, Any]:
    """The search, its front (fastest first), the best candidate, and those that were scored, the best first, up to 2,000.

    `warnings` are what readers of the figures must know.
    """
    front, best = outcome.front, outcome.best(_MOST_LISTED)
    spread = front[np.linspace(0, len(front) - 1, min(len(front), _MOST_ON_FRONT)).astype(int)] if len(front) else front
    listed = list(dict.fromkeys([*map(int, best), *map(int, front)]))
    profile = table.target.device
    return {
        "schema_version": SCHEMA_VERSION,
        **identity_of(table, evaluator, algorithm, seed, outcome.target_s),
        "profile": {"name": profile.name, "version": profile.profile.version, "sha256": profile.sha256},
        "quantity": evaluator.quantity,
        "space_size": table.space.size,
        "proposed": outcome.asked,
        "evaluated": outcome.considered,
        "failed": len(outcome.failures),
        "failures": [{"candidate": _text(outcome, place), "reason": reason} for place, reason in list(outcome.failures.items())[:20]],
        "note": outcome.note,
        "warnings": list(warnings),
        "front": [_full(table, outcome, int(place)) for place in spread],
        "front_size": len(front),
        "best": _full(table, outcome, int(best[0])) if len(best) else None,
        "candidates": _short(table, outcome, listed, set(map(int, front))),
        "costmodel_version": __version__,
    }


def _text(outcome: Outcome, place: int) -> str:
    return " ".join(map(str, outcome.candidates[place]))


def _short(table: LatencyTable, outcome: Outcome, places: list[int], front: set[int]) -> list[dict[str, Any]]:
    """A flat row for each candidate: CSV files that evaluators read have these columns."""
    if not places:
        return []
    x = outcome.candidates[places]
    macs, parameters, peak = table.macs(x), table.parameters(x), table.peak_activation_bytes(x)
    return [
        {
            "candidate": _text(outcome, place),
            "score": float(outcome.scores[place]),
            "latency_s": float(outcome.latency_s[place]),
            "macs": int(macs[row]),
            "parameters": int(parameters[row]),
            "peak_activation_bytes": int(peak[row]),
            "on_front": place in front,
        }
        for row, place in enumerate(places)
    ]


def _full(table: LatencyTable, outcome: Outcome, place: int) -> dict[str, Any]:
    """A candidate with its interval and its choices in words."""
    row = outcome.candidates[place]
    report = estimate(table.space.graph(row, batch=table.batch), table.target)
    assert math.isclose(report.latency_s, outcome.latency_s[place], rel_tol=1e-9), "a table equals the estimates"
    return {
        **_short(table, outcome, [place], set())[0],
        "on_front": True,
        "latency_low_s": report.latency_low_s,
        "latency_high_s": report.latency_high_s,
        "interval": {"level": report.interval.level, "basis": report.interval.basis, "factor": report.interval.factor},
        "choices": table.space.decode(row),
    }
