"""Fronts, recommendations and grids as documents: JSON and CSV, full precision, units in the keys."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from costmodel._version import __version__
from costmodel.decisions import Choice, Cost, Front, Grid, LeftOut, Nearest, Offer, Recommendation, Standing, text_of
from costmodel.devices import Target
from costmodel.estimation import SCHEMA_VERSION
from costmodel.quantity import duration, si


def to_json(document: Mapping[str, Any]) -> str:
    """`document` as JSON on one line."""
    return json.dumps(document, ensure_ascii=False)


def to_csv(rows: Iterable[Mapping[str, Any]], columns: Iterable[str] = ()) -> str:
    """A table whose header is `columns`, or the keys of the first row; what is missing is an empty cell."""
    found = list(rows)
    out = io.StringIO()
    writer = csv.DictWriter(out, list(columns) or list(found[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return out.getvalue()


def pareto_document(fronts: Sequence[Front]) -> dict[str, Any]:
    """The document that ``costmodel pareto --json`` prints: for each target its networks, fastest first."""
    return {
        "schema_version": SCHEMA_VERSION,
        "fronts": [
            {
                **_target(found.target),
                "batch": found.batch,
                "networks": [_standing(entry) for entry in found.standings],
                "left_out": [_left_out(entry) for entry in found.left_out],
            }
            for found in fronts
        ],
        "costmodel_version": __version__,
    }


def pareto_rows(fronts: Sequence[Front]) -> list[dict[str, Any]]:
    """A flat row for each network on each target."""
    return [{**_target(found.target), "batch": found.batch, **_standing(entry)} for found in fronts for entry in found.standings]


def recommendation_document(found: Recommendation) -> dict[str, Any]:
    """The document that ``costmodel recommend --json`` prints."""
    limits = found.limits
    return {
        "schema_version": SCHEMA_VERSION,
        "limits": {"latency_s": limits.latency_s, "top1_percent": limits.top1, "memory_bytes": limits.memory_bytes},
        "order": "latency" if found.fastest_first else "top1",
        "considered": found.considered,
        "choices": [_choice(entry) for entry in found.choices],
        "perhaps": [_choice(entry) for entry in found.perhaps],
        "excluded": [{"limits": list(limits), "networks": number} for limits, number in found.excluded],
        "nearest": [
            {"limit": entry.limit, "offer": None if entry.offer is None else _offer(entry.offer), "alone": _offer(entry.alone)} for entry in found.nearest
        ],
        "left_out": [_left_out(entry) for entry in found.left_out],
        "costmodel_version": __version__,
    }


def recommendation_csv(found: Recommendation) -> str:
    """A table with a row for each network that fits, best first, and then for those that perhaps do; its header stands where nothing does."""
    shape = [*found.choices, *(Choice(offer=entry.alone, certainty="perhaps", probability=0.0) for entry in found.nearest)][0]
    return to_csv([_choice(entry) for entry in (*found.choices, *found.perhaps)], columns=_choice(shape))


def why_nothing_fits(found: Recommendation) -> str:
    """What is missing, and for each limit the nearest that can be reached while the others hold."""
    limits = found.limits
    stated = [
        text
        for text in (
            limits.latency_s is not None and f"{duration(limits.latency_s)}",
            limits.top1 is not None and f"top-1 of {limits.top1:g} %",
            limits.memory_bytes is not None and f"{si(limits.memory_bytes, 'B')}",
        )
        if text
    ]
    reached = [_reached(entry, others=len(found.nearest) > 1) for entry in found.nearest]
    return f"none of {found.considered} candidates is within {', '.join(stated)}" + "".join(f"; {text}" for text in reached)


def _reached(entry: Nearest, *, others: bool) -> str:
    if entry.offer is not None:
        return _nearest_words(entry.limit, entry.offer, " with the other limits" if others else "")
    return f"whatever the {entry.limit}, the other limits keep everything out; {_nearest_words(entry.limit, entry.alone, ' without them')}"


def _nearest_words(limit: str, offer: Offer, when: str) -> str:
    cost = offer.cost
    words = {
        "latency": f"the least latency{when} is {duration(cost.latency_s)}",
        "top-1": f"the highest top-1{when} is {offer.top1:g} %",
        "memory": f"the least memory{when} is {si(cost.memory_bytes, 'B')}",
    }
    return f"{words[limit]} ({offer.network.name} in {offer.target.dtype})"


def grid_document(found: Grid) -> dict[str, Any]:
    """The document that ``costmodel sweep --json`` prints."""
    first = found.cells[0].target
    return {
        "schema_version": SCHEMA_VERSION,
        "model": found.model,
        "device": first.device.name,
        "axes": [axis.name for axis in found.axes],
        "cells": grid_rows(found),
        "costmodel_version": __version__,
    }


def grid_rows(found: Grid) -> list[dict[str, Any]]:
    """A flat row for each cell."""
    return [
        {
            "network": cell.network,
            "resolution": None if cell.resolution is None else text_of(cell.resolution),
            "width": cell.width,
            **_target(cell.target),
            "batch": cell.batch,
            **_cost(cell.cost),
            "fits": cell.cost.fits,
        }
        for cell in found.cells
    ]


def _target(target: Target) -> dict[str, Any]:
    return {
        "device": target.device.name,
        "processor": target.processor,
        "runtime": target.runtime,
        "dtype": target.dtype,
        "threads": target.threads,
        "cores": target.cores_text,
        "layout": target.layout,
    }


def _cost(cost: Cost) -> dict[str, Any]:
    return {
        "latency_s": cost.latency_s,
        "latency_low_s": cost.latency_low_s,
        "latency_high_s": cost.latency_high_s,
        "interval_level": cost.interval.level,
        "interval_basis": cost.interval.basis,
        "samples_per_s": cost.samples_per_s,
        "macs": cost.macs,
        "flops": cost.flops,
        "parameters": cost.parameters,
        "traffic_bytes": cost.traffic_bytes,
        "memory_bytes": cost.memory_bytes,
        "energy_j": cost.energy_j,
    }


def _offer(offer: Offer) -> dict[str, Any]:
    figure = offer.figure
    assert figure is not None, "an offer without an accuracy is ranked nowhere"
    return {
        "network": offer.network.name,
        "family": offer.network.family,
        "top1_percent": figure.percent,
        "top1_is_upper_bound": offer.top1_is_bound,
        "top1_evaluation": figure.evaluation,
        "top1_extra_data": figure.extra_data,
        "top1_source": figure.source,
        **_cost(offer.cost),
    }


def _standing(entry: Standing) -> dict[str, Any]:
    return {
        **_offer(entry.offer),
        "on_front": entry.on_front,
        "may_belong": entry.may_belong,
        "probability_on_front": entry.probability,
        "beaten_by": entry.beaten_by or None,
        "probability_faster": entry.probability_faster,
    }


def _choice(entry: Choice) -> dict[str, Any]:
    return {**_target(entry.offer.target), **_offer(entry.offer), "certainty": entry.certainty, "probability_within": entry.probability}


def _left_out(entry: LeftOut) -> dict[str, Any]:
    return {"network": entry.name, "reason": entry.reason}
