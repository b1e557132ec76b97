"""Energy of one inference: what the processor draws while it runs, and what each MAC and each byte costs."""

from __future__ import annotations

from costmodel.devices import Target


def energy_j(target: Target, *, latency_s: float, macs: int, traffic_bytes: int) -> float | None:
    """Joules of one inference, ``static_w * t + pj_per_mac * MACs + pj_per_byte * traffic``; None without figures.

    The form is Horowitz's (ISSCC 2014): operations and bytes have an energy each, and leakage runs with time. Off-chip
    traffic is each kernel's external tensors once; what a cache keeps is counted as if it moved, so this bounds from above.
    """
    figures = target.hardware.energy
    if figures is None:
        return None
    per_mac = figures.pj_per_mac.get(target.dtype)  # type: ignore[call-overload]  # dtype names are the profile's
    if per_mac is None:
        return None
    return figures.static_w * latency_s + (float(per_mac) * macs + figures.pj_per_byte * traffic_bytes) * 1e-12
