"""Figures as papers and repositories print them, for comparison with counts. `printed.csv` holds them with their sources."""

from __future__ import annotations

import csv
from functools import lru_cache
from importlib.resources import files
from typing import Literal, NamedTuple

#: What is said of a difference of which no reason is known.
UNEXPLAINED = "rounding or a rule of counting that the source does not state"
_UNITS = {"": 1.0, "K": 1e3, "M": 1e6, "B": 1e9, "G": 1e9}


class Printed(NamedTuple):
    """A printed figure: of what, the text with its unit, its value, where it stands, and what is known of a difference."""

    quantity: Literal["parameters", "macs"]
    text: str
    value: float
    source: str
    note: str

    def agrees(self, counted: int) -> bool:
        """Whether the count rounds to what is printed, give or take one in its last digit."""
        digits = self.text.rstrip("KMBG")
        step = 10.0 ** -len(digits.partition(".")[2]) * _UNITS[self.text[len(digits) :]]
        return abs(counted - self.value) <= step


def printed(network: str) -> tuple[Printed, ...]:
    """What is printed for a network name (with its width and resolution), in the order of the table.

    Examples
    --------
    >>> [(figure.text, figure.agrees(10_266_384_752)) for figure in printed("efficientnet-b5") if figure.quantity == "macs"]
    [('9.9B', False)]
    """
    return _table().get(network, ())


@lru_cache(maxsize=1)
def _table() -> dict[str, tuple[Printed, ...]]:
    found: dict[str, list[Printed]] = {}
    text = (files("costmodel.zoo") / "printed.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines()):
        quantity: Literal["parameters", "macs"] = "parameters" if row["quantity"] == "parameters" else "macs"
        figure = Printed(quantity, row["printed"] + row["unit"], float(row["printed"]) * _UNITS[row["unit"]], row["source"], row["note"])
        found.setdefault(row["network"], []).append(figure)
    return {network: tuple(figures) for network, figures in found.items()}
