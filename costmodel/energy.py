"""Energy of one inference: what the processor draws while it runs, and what each MAC and each byte costs."""

from __future__ import annotations

from collections.abc import Mapping

from costmodel.devices import Target


def energy_j(target: Target, *, latency_s: float, macs: int, traffic_bytes: int) -> float | None:
    """Joules of one inference, ``(static_w + busy cores) * t + pj_per_mac * MACs + pj_per_byte * traffic``; None without figures.

    The form is Horowitz's (ISSCC 2014): operations and bytes have an energy each, and leakage runs with time. Off-chip
    traffic is each kernel's external tensors once; what a cache keeps is counted as if it moved, so this bounds from above.
    """
    figures = target.hardware.energy
    if figures is None:
        return None
    energies: Mapping[str, float] = {str(dtype): value for dtype, value in figures.pj_per_mac.items()}
    per_mac = energies.get(target.dtype)
    if per_mac is None:
        return None
    watts = figures.static_w + sum(count * figures.core_w.get(cluster, 0.0) for cluster, count in target.cores)
    return watts * latency_s + (per_mac * macs + figures.pj_per_byte * traffic_bytes) * 1e-12
