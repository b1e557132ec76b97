"""What stands on the page as text, without any script: headline, opportunities, how to repeat it."""

from __future__ import annotations

import platform
import shlex
from typing import Any, NamedTuple

from costmodel._version import __version__
from costmodel.estimation import Estimate
from costmodel.opportunities import Opportunity
from costmodel.quantity import binary, duration, duration_between, share, si, significant
from costmodel.reporting.tables import TARGET_MEANS, target_words

#: What a change asks of who makes it.
_NEEDS = {
    "same outputs": "nothing: same outputs",
    "other precision": "a check of accuracy",
    "training": "training or evaluation",
}
BASIS_WORDS = {
    "calibrated": "calibrated on measurements of this target",
    "transferred": "constants carried over from a relative",
    "datasheet": "rests on datasheets and assumptions",
}


class Fact(NamedTuple):
    """A figure of the headline: label, value, and what it rests on or means."""

    label: str
    value: str
    note: str
    share: float | None = None


def headline(report: Estimate) -> list[Fact]:
    """The figures under the latency."""
    target = report.target
    peak = target.machine.peak(target.dtype)
    compute = share(report.flops, report.latency_s * peak)
    return [
        Fact(
            "share of peak compute",
            _percent(compute),
            f"{si(share(report.flops, report.latency_s), 'FLOP/s')} of {si(peak, 'FLOP/s')} in {target.dtype}",
            compute,
        ),
        _bandwidth(report),
        Fact("peak memory", binary(report.peak_activation_bytes), _memory_note(report)),
        Fact("energy", si(report.energy_j, "J") if report.energy_j is not None else "not known", _energy_note(report)),
        Fact("throughput", f"{significant(report.samples_per_s)}/s", f"samples, {report.batch} a pass"),
        Fact("MACs", si(report.macs), f"{report.macs:,}; {si(report.flops, 'FLOP')} are 2 x MACs + {si(report.other_flops)} other"),
        Fact("parameters", si(report.parameters), f"{report.parameters:,}; {si(report.model_file_bytes, 'B')} as a file"),
        Fact(
            "coverage", _percent(share(report.modelled_operators, report.operators)), _coverage_note(report), share(report.modelled_operators, report.operators)
        ),
    ]


def _percent(part: float) -> str:
    """A share, exact at the ends: all is 100 %, and less than all is not."""
    return "100%" if part == 1 else f"{min(part, 0.999):.1%}" if 0.995 <= part < 1 else f"{part:.0%}" if part >= 0.1 else f"{part:.1%}"


def _bandwidth(report: Estimate) -> Fact:
    """Traffic against main memory; where more moves than that could carry, most tensors stay on chip and a share means nothing."""
    peak = report.target.machine.bytes_per_s
    rate = share(report.traffic_bytes, report.latency_s)
    text = f"{si(rate, 'B/s')} of {si(peak, 'B/s')}; {si(report.traffic_bytes, 'B')} moved"
    if rate > peak:
        return Fact("bandwidth", "mostly on chip", f"kernels read and write {si(rate, 'B/s')}, memory brings {si(peak, 'B/s')}")
    return Fact("share of bandwidth", _percent(rate / peak), text, rate / peak)


def _memory_note(report: Estimate) -> str:
    capacity = report.target.hardware.memory.capacity_gib
    weights = f"of activations, and {binary(report.weight_bytes)} of weights"
    if report.fits is None or capacity is None:
        return weights
    return f"{weights}; {'fits' if report.fits else 'does not fit'} {capacity:.3g} GiB"


def _energy_note(report: Estimate) -> str:
    return "a pass, from stated or assumed power: rough" if report.energy_j is not None else "the profile has no power figures"


def _coverage_note(report: Estimate) -> str:
    return f"{report.modelled_operators} of {report.operators} operators modelled, in {len(report.kernels)} kernels"


def latency(report: Estimate) -> dict[str, Any]:
    """The latency with its interval, what it rests on, and what bounds it."""
    interval = report.interval
    return {
        "value": duration(report.latency_s),
        "between": duration_between(report.latency_low_s, report.latency_high_s),
        "level": f"{interval.level:.0%}",
        "basis": interval.basis,
        "basis_note": BASIS_WORDS[interval.basis],
        "factor": f"{interval.factor:.2f}",
        "bounds": [{"name": name, "share": part, "text": f"{part:.0%}" if part >= 0.005 else ""} for name, part in report.bound_shares.items()],
        "terms": [(name.replace("_", " "), duration(seconds)) for name, seconds in report.terms.items()],
    }


def opportunity_rows(report: Estimate, found: tuple[Opportunity, ...]) -> list[dict[str, Any]]:
    """A row for each opportunity."""
    return [
        {
            "title": entry.title,
            "detail": entry.detail,
            "needs": _NEEDS[entry.needs],
            "latency": duration(entry.latency_s),
            "saved": duration(entry.saved_s),
            "share": share(entry.saved_s, report.latency_s),
            "times": f"{significant(report.latency_s / entry.latency_s)} x as fast" if entry.latency_s else "",
            "basis": f"{entry.basis}, factor {entry.factor:.2f}",
            "counts": _changed_counts(report, entry),
        }
        for entry in found
    ]


def _changed_counts(report: Estimate, entry: Opportunity) -> str:
    """What changes of MACs and parameters, in words; empty where nothing does."""
    pairs = (("MACs", report.macs, entry.macs), ("parameters", report.parameters, entry.parameters))
    changes = ((name, share(after - before, before)) for name, before, after in pairs)
    return ", ".join(f"{part:+.1%} {name}".replace("-", "−") for name, part in changes if abs(part) >= 0.0005)


def reproducibility(report: Estimate) -> list[tuple[str, str]]:
    """What one needs to get the same figures again."""
    target = report.target
    profile = target.device.profile
    rows = [
        ("command", command(report)),
        ("costmodel", __version__),
        ("Python", platform.python_version()),
        ("network", f"{report.title}, input {' and '.join('x'.join(map(str, shape)) for shape in report.inputs)}"),
        ("device profile", f"{profile.name} version {profile.version}, sha256 {target.device.sha256}"),
        ("device", f"{profile.title}, {profile.chip}, {profile.year}"),
        ("target", f"{target_words(target, report.batch)}: {TARGET_MEANS}"),
        ("interval", f"{report.interval.level:.0%}, {report.interval.basis}, factor {report.interval.factor:.4g}: {BASIS_WORDS[report.interval.basis]}"),
        ("counting", "a MAC is one product added to an accumulator; FLOPs are 2 x MACs and every other operation; taps in padding count"),
    ]
    if report.convention is not None:
        rows.append((f"as {report.convention.convention}", f"{report.convention.value:,} {report.convention.word}: {report.convention.rule}"))
        for figure in report.convention.printed:
            words = f"{figure.printed}; counted {figure.counted:,}, {figure.difference:+.1%}: {figure.explanation}; {figure.source}"
            rows.append((f"printed {figure.quantity}", words))
    unmodelled = "; ".join(f"{entry.name} ({entry.kind})" for entry in report.unmodelled) or "none: every operator has a cost"
    return [*rows, ("unmodelled", unmodelled)]


def named(report: Estimate) -> list[str]:
    """The words that name its network on the command line; a module needs its inputs, too."""
    shapes = [word for shape in report.inputs for word in ("--input", "x".join(map(str, shape)))] if report.origin.startswith("torch:") else []
    return [report.origin or report.model, *shapes]


def command(report: Estimate) -> str:
    """The command line that gives this estimate, where the network has a name that it takes."""
    target = report.target
    words = ["costmodel", "analyze", *named(report), "--device", target.device.name, "--processor", target.processor, "--runtime", target.runtime]
    words += ["--dtype", target.dtype, *(("--cores", target.cores_text) if target.cores_text else ()), "--layout", target.layout, "--batch", str(report.batch)]
    words += ["--weights", report.weights] if report.weights else []
    words += ["--convention", report.convention.convention] if report.convention is not None else []
    return " ".join(map(shlex.quote, words)) + (f"  ({report.changed})" if report.changed else "")
