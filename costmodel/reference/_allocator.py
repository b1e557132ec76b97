"""The C library's allocator, told to keep what is freed while something is timed.

glibc maps large blocks apart and gives memory at the top of its heap back to the system, from thresholds that move with what the process freed before
(mallopt(3)). What comes back must be mapped and zeroed by the kernel page by page, so the same network takes as long as its process's past says: under torch
2.13 on an EPYC in a virtual machine, MobileNetV2 13.6 ms where memory stays and 23.8 ms in a process of its own (5,552 page faults a pass), ResNet-18 the same
in both (``python -m tests.benchmarks.freed_memory``). Measurements hold for a process whose memory stays: one that has served a while, or that uses
jemalloc or tcmalloc.
"""

from __future__ import annotations

import ctypes

#: Parameters of `mallopt` and their values (malloc.h): give nothing back, map nothing apart, and grow by 64 MiB at a time.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_SETTINGS = ((_M_TRIM_THRESHOLD, -1), (_M_MMAP_MAX, 0), (_M_TOP_PAD, 64 << 20))


def keep_memory() -> bool:
    """Have freed memory stay with this process from now on; whether its C library is one that can be told (glibc)."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl and macOS have none, Windows has no such library
        return False
    return all(mallopt(parameter, value) for parameter, value in _SETTINGS)
