"""SI prefixes at the rim: formatting for people. Inside the package numbers are plain and in base units."""

from __future__ import annotations

import math
from decimal import Decimal

from costmodel.errors import UsageError

_PREFIXES = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
#: From here on people read seconds.
_LONG_S = 10.0
#: Times that are counted in picoseconds at the most: some 30,000 years, which is far beyond what anybody runs and far from where floats end.
LONGEST_S = 1e12
#: Below it, and from 1e15 on, numbers have exponents rather than rows of zeros.
_TINY, _HUGE = 1e-6, 1e15
_SMALL = ((1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"))


def picoseconds(seconds: float, of: str = "a time") -> int:
    """A time in whole picoseconds, to the nearest; `of` says what takes it.

    Raises
    ------
    UsageError
        If it is longer than `LONGEST_S`, or NaN: names what it is of.

    Examples
    --------
    >>> picoseconds(1.5e-6), picoseconds(0.7e-12)
    (1500000, 1)
    """
    if not abs(seconds) <= LONGEST_S:
        raise UsageError(f"{of}: {seconds:g} s cannot be counted in picoseconds, which go up to {LONGEST_S:g} s: see the rates in the profile and the options")
    return round(seconds * 1e12)


def si(value: float, unit: str = "", *, digits: int = 3) -> str:
    """`value` with a decimal SI prefix and `digits` significant digits.

    Examples
    --------
    >>> si(10266384752, "MAC"), si(0.0237, "s"), si(0, "B"), si(999999, "B")
    ('10.3 GMAC', '23.7 ms', '0 B', '1.00 MB')
    """
    if value == 0:
        return f"0 {unit}".rstrip()
    magnitude = abs(value)
    table = _PREFIXES if magnitude >= 1.0 else _SMALL
    if magnitude < _SMALL[-1][0] * _TINY:
        return f"{significant(value, digits)} {unit}".rstrip()
    position = next((i for i, (scale, _) in enumerate(table) if magnitude >= scale), len(table) - 1)
    text = significant(value / table[position][0], digits)
    if abs(float(text)) >= 1000 and position > 0:  # 999.9996 rounds up into the next prefix
        position -= 1
        text = significant(value / table[position][0], digits)
    return f"{text} {table[position][1]}{unit}".rstrip()


def significant(value: float, digits: int = 3) -> str:
    """`value` with `digits` significant digits, in exponent form below 1e-6 and from 1e15 on.

    Examples
    --------
    >>> significant(10.266), significant(0.001234), significant(456.7), significant(1234.5), significant(1e-300)
    ('10.3', '0.00123', '457', '1234', '1.00e-300')
    """
    if value == 0:
        return "0"
    if not math.isfinite(value):
        return str(value)
    rounded = float(f"{value:.{digits - 1}e}")
    if abs(value) >= _HUGE or abs(rounded) < _TINY:
        return f"{value:.{digits - 1}e}"
    exponent = int(f"{rounded:e}".partition("e")[2])
    return f"{value:.0f}" if exponent >= digits - 1 else f"{rounded:.{digits - 1 - exponent}f}"


def duration(seconds: float) -> str:
    """`seconds` in milliseconds, the unit of latencies that people read, and from 10 s on in seconds; three significant digits.

    Examples
    --------
    >>> duration(0.7321), duration(0.00004), duration(1234.5)
    ('732 ms', '0.0400 ms', '1234 s')
    """
    if seconds >= _LONG_S:
        return f"{significant(seconds)} s"
    return f"{significant(seconds * 1e3)} ms"


def duration_enough(seconds: float) -> str:
    """As `duration`, rounded up: a limit of what it says lets `seconds` pass.

    Examples
    --------
    >>> duration(0.0063911), duration_enough(0.0063911), duration_enough(0.00996), duration_enough(12.34)
    ('6.39 ms', '6.40 ms', '9.96 ms', '12.4 s')
    """
    number, unit = duration(seconds).split()
    scale, shown = 1.0 if unit == "s" else 1e-3, Decimal(number)
    while float(shown) * scale < seconds:
        shown += Decimal((0, (1,), int(shown.as_tuple().exponent)))
    return f"{shown} {unit}"


def duration_between(low_s: float, high_s: float, joint: str = " and ") -> str:
    """Two ends of an interval in the unit that `duration` gives the upper one.

    Examples
    --------
    >>> duration_between(0.7, 1.3), duration_between(8.0, 12.0, "-")
    ('700 and 1300 ms', '8.00-12.0 s')
    """
    scale = 1.0 if high_s >= _LONG_S else 1e3
    return f"{significant(low_s * scale)}{joint}{duration(high_s)}"


def binary(nbytes: float) -> str:
    """A capacity with a binary prefix, for memories.

    Examples
    --------
    >>> binary(3 * 1024**2), binary(512), binary(6 * 1024**3)
    ('3.00 MiB', '512 B', '6.00 GiB')
    """
    for scale, unit in ((1024**4, "TiB"), (1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB")):
        if nbytes >= scale:
            return f"{significant(nbytes / scale)} {unit}"
    return f"{nbytes:.0f} B"


def counted(number: int, one: str, several: str = "") -> str:
    """A number of things.

    Examples
    --------
    >>> counted(1, "row"), counted(1234, "row"), counted(0, "family", "families")
    ('1 row', '1,234 rows', '0 families')
    """
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def share(part: float, whole: float) -> float:
    """`part / whole`, and 0 where the whole is 0."""
    return part / whole if whole else 0.0


def chance(part: float) -> str:
    """A probability in percent; what rounds to certainty is not certain.

    Examples
    --------
    >>> chance(0.991), chance(0.9996), chance(1.0), chance(0.002)
    ('99%', '>99%', '100%', '<1%')
    """
    return ">99%" if 0.995 < part < 1 else "<1%" if 0 < part < 0.005 else f"{part:.0%}"
