"""Numbers for people: prefixes, significant digits, and rounding over a border."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.errors import UsageError
from costmodel.quantity import LONGEST_S, binary, duration, duration_between, picoseconds, share, si, significant


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0, "MAC", "0 MAC"),
        (1, "B", "1.00 B"),
        (999, "B", "999 B"),
        (999.4, "B", "999 B"),
        (999.6, "B", "1.00 kB"),  # rounds up into the next prefix
        (1000, "B", "1.00 kB"),
        (1005, "B", "1.00 kB"),
        (999_999, "B", "1.00 MB"),
        (385_814_752, "MAC", "386 MMAC"),
        (10_266_384_752, "MAC", "10.3 GMAC"),
        (2.5e20, "FLOP", "250 EFLOP"),
        (10**22, "FLOP", "10000 EFLOP"),  # no larger prefix
        (-1500, "W", "-1.50 kW"),
        (0.0237, "s", "23.7 ms"),
        (0.0009996, "s", "1.00 ms"),
        (4.2e-6, "s", "4.20 µs"),
        (1e-9, "s", "1.00 ns"),
        (1e-15, "s", "0.00100 ps"),
        (1e-294, "B", "1.00e-294 B"),
        (0.5, "", "500 m"),
    ],
)
def test_decimal_prefixes(value: float, unit: str, expected: str) -> None:
    assert si(value, unit) == expected


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [
        (0, 3, "0"),
        (10.266, 3, "10.3"),
        (9.996, 3, "10.0"),
        (99.96, 3, "100"),
        (456.7, 3, "457"),
        (1234.5, 3, "1234"),
        (0.001234, 3, "0.00123"),
        (-0.5, 2, "-0.50"),
        (1234567.0, 1, "1234567"),
        (3.14159, 5, "3.1416"),
        (1e-6, 3, "0.00000100"),
        (9.996e-7, 3, "0.00000100"),
        (9.99e-7, 3, "9.99e-07"),
        (-2.5e-300, 2, "-2.5e-300"),
        (1e-320, 3, "1.00e-320"),
        (2e15, 3, "2.00e+15"),
    ],
)
def test_significant_digits(value: float, digits: int, expected: str) -> None:
    assert significant(value, digits) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.7321, "732 ms"), (4.2, "4200 ms"), (0.00004, "0.0400 ms"), (0, "0 ms"), (9.99, "9990 ms"), (10, "10.0 s"), (3600, "3600 s")],
)
def test_latencies_are_milliseconds_below_ten_seconds(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


@pytest.mark.parametrize(("low", "high", "expected"), [(0.02, 0.03, "20.0 and 30.0 ms"), (9, 11, "9.00 and 11.0 s")])
def test_both_ends_have_the_unit_of_the_upper_one(low: float, high: float, expected: str) -> None:
    assert duration_between(low, high) == expected


@pytest.mark.parametrize(
    ("nbytes", "expected"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.00 KiB"),
        (1536, "1.50 KiB"),
        (1024**2, "1.00 MiB"),
        (6 * 1024**3, "6.00 GiB"),
        (2**50, "1024 TiB"),
    ],
)
def test_binary_prefixes(nbytes: int, expected: str) -> None:
    assert binary(nbytes) == expected


@pytest.mark.parametrize("seconds", [1.1e12, -1.1e12, 1e308, float("inf"), float("nan")])
def test_times_that_cannot_be_counted_are_refused_by_name(seconds: float) -> None:
    with pytest.raises(UsageError, match=rf"^conv1: {re.escape(f'{seconds:g}')} s cannot be counted in picoseconds, which go up to 1e\+12 s"):
        picoseconds(seconds, "conv1")


def test_times_up_to_the_longest_are_counted() -> None:
    assert picoseconds(LONGEST_S) == round(LONGEST_S * 1e12)
    assert picoseconds(0.4e-12) == 0


def test_a_share_of_nothing_is_nothing() -> None:
    assert share(1, 4) == 0.25
    assert share(0, 0) == 0.0


@settings(deadline=None, derandomize=True, database=None, max_examples=300)
@given(value=st.floats(1e-12, 9.99e20), digits=st.integers(2, 6))
def test_a_printed_value_is_within_half_a_digit(value: float, digits: int) -> None:
    scale = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18, "m": 1e-3, "µ": 1e-6, "n": 1e-9, "p": 1e-12}
    number, prefix = si(value, "x", digits=digits).split(" ")
    assert float(number) * scale[prefix.removesuffix("x")] == pytest.approx(value, rel=0.51 * 10 ** (1 - digits))
    assert "e" not in number
    assert 1 <= float(number) < 1000
