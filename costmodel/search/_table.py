"""`LatencyTable`: the costs of every candidate of a space on a target, as sums over tables instead of estimates.

Each block has a row for every shape that may come in and a column for every option; an entry is what the option adds there, and which shape it
leaves (a `Piece`). A candidate is a path through these rows. Stem and head are part of the first and the last block.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from costmodel.devices import Target
from costmodel.energy import energy_j
from costmodel.errors import UsageError, unknown, whole
from costmodel.estimation import estimate
from costmodel.laws import Combination
from costmodel.search._pieces import Piece, Pricer, Shape
from costmodel.search._rows import FIELDS, Quantity, Rows, Step
from costmodel.search._space import Space

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from costmodel.search._expected import Expected

#: Candidates at a time: their intermediate arrays stay in a core's cache.
_CHUNK = 1 << 13
#: Samples a pass: more is a typing slip.
_MOST_BATCH = 10**9
#: Candidates whose table is compared with their estimate before a table is returned, and by how much they may differ.
_AUDITED, TOLERANCE = 8, 1e-12


class LatencyTable:
    """Costs of candidates of `space` on `target` for a batch of samples; compiled from `estimate`, then only looked up.

    Every method takes candidates (number, blocks) and returns an array (number,) equal to what `estimate` says of their graphs.
    `priced` is the number of distinct (layer, incoming shape) that were estimated; `unmodelled` are kinds of kernels without
    a cost on this target, which some candidates have, whose latency is too low by theirs.

    Raises
    ------
    UsageError
        If costs of blocks do not combine to the cost of the network on this target (an Edge TPU's parameter cache, a cache that holds some
        networks' weights and not others', a kernel that spans two layers): says why.
    """

    def __init__(self, space: Space, target: Target, *, batch: int = 1) -> None:
        batch = whole("batch", batch, 1, _MOST_BATCH)
        pricer = Pricer(space, target, batch)
        self.space, self.target, self.batch = space, target, batch
        self.combination: Combination = pricer.combination
        self.rows, unmodelled = _compiled(space, pricer)
        self.terms_s = sum((pricer.terms or {}).values())
        self.unmodelled: tuple[str, ...] = tuple(sorted(unmodelled))
        self.priced = len(pricer)
        self._prepare()
        self._require_held()
        self._audit()

    @classmethod
    def load(cls, folder: str | os.PathLike[str], space: Space, target: Target, *, batch: int = 1) -> LatencyTable:
        """The table that `save` wrote for exactly this space, target (profile hash included), batch and version of costmodel.

        Raises
        ------
        UsageError
            If the folder has none: names the file that it should be.
        InvalidFileError
            If the file is damaged or made for something else: names both.
        """
        from costmodel.search._files import read

        made, batch = cls.__new__(cls), whole("batch", batch, 1, _MOST_BATCH)
        made.space, made.target, made.batch = space, target, batch
        combination = target.law.combination(target.machine)
        assert combination is not None, "no table of such a target is ever saved"
        made.combination = combination
        contents = read(folder, space, target, batch)
        made.rows, made.terms_s, made.unmodelled, made.priced = contents.rows, contents.terms_s, contents.unmodelled, contents.priced
        made._prepare()
        return made

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the table into a folder, whole or not at all, under a name with the hashes of space and profile; the path."""
        from costmodel.search._files import Contents, write

        contents = Contents(rows=self.rows, terms_s=self.terms_s, unmodelled=self.unmodelled, priced=self.priced)
        return write(folder, self.space, self.target, self.batch, contents)

    # -- candidates ----------------------------------------------------------------------------------------------

    def latency_s(self, x: ArrayLike) -> NDArray[np.float64]:
        """Latency in seconds of each candidate, as `Estimate.latency_s`."""
        if not self.combination.launch_s:
            return self._sum(x, "busy_s") + self.terms_s
        return self._each(x, self._makespans, np.float64) + self.terms_s

    def busy_s(self, x: ArrayLike) -> NDArray[np.float64]:
        """Seconds of all kernels added up, without program terms: what a launch queue hides or waits for is left out."""
        return self._sum(x, "busy_s")

    def macs(self, x: ArrayLike) -> NDArray[np.int64]:
        """Multiply-accumulates."""
        return self._sum(x, "macs")

    def parameters(self, x: ArrayLike) -> NDArray[np.int64]:
        """Learnable elements."""
        return self._sum(x, "parameters")

    def traffic_bytes(self, x: ArrayLike) -> NDArray[np.int64]:
        """Bytes between off-chip memory and chip, as `Estimate.traffic_bytes`."""
        return self._sum(x, "traffic_bytes")

    def peak_activation_bytes(self, x: ArrayLike) -> NDArray[np.int64]:
        """Largest sum of live activations: the largest over the blocks, each with the tensors that it reads and writes."""

        def largest(columns: NDArray[np.int64]) -> NDArray[Any]:
            found: NDArray[Any] = np.zeros(columns.shape[1], np.int64)
            for flat, at in self._walk(columns):
                np.maximum(found, flat["peak_activation_bytes"][at], out=found)
            return found

        return self._each(x, largest, np.int64)

    def energy_j(self, x: ArrayLike) -> NDArray[np.float64]:
        """Joules, as `Estimate.energy_j`. Raises UsageError where the profile has no figures of energy."""
        second, mac, byte = self._joules()
        found: NDArray[np.float64] = second * self.latency_s(x) + mac * self.macs(x) + byte * self.traffic_bytes(x)
        return found

    # -- for exact search and training ---------------------------------------------------------------------------

    def steps(self, quantity: Quantity) -> tuple[Step, ...]:
        """The blocks' tables of an additive quantity: a candidate's quantity is the sum of its entries along its path.

        Raises
        ------
        UsageError
            If the quantity is not additive here: latency and energy behind a queue of launches are not; ``busy_s`` is.
        """
        if quantity not in get_args(Quantity):
            raise unknown("additive quantity", quantity, get_args(Quantity))
        if quantity in ("latency_s", "energy_j") and self.combination.launch_s:
            where = f"{self.target.device.name} under {self.target.runtime}"
            raise UsageError(f"{quantity} does not add up over blocks on {where}, whose host issues kernels in a queue; take busy_s, which leaves the wait out")
        constant = 0.0
        weights: dict[str, float]
        if quantity == "energy_j":
            second, mac, byte = self._joules()
            weights, constant = {"busy_s": second, "macs": mac, "traffic_bytes": byte}, second * self.terms_s
        elif quantity == "latency_s":
            weights, constant = {"busy_s": 1.0}, self.terms_s
        else:
            weights = {quantity: 1.0}
        found = []
        for number, rows in enumerate(self.rows):
            costs: Any = sum(weight * rows.costs[name].astype(np.float64) for name, weight in weights.items())
            found.append(Step(np.asarray(costs) + (constant if number == 0 else 0.0), rows.after))
        return tuple(found)

    def expected(self, quantity: Quantity = "latency_s") -> Expected:
        """The table as a torch module that gives the expected quantity under probabilities of the choices; see `Expected`."""
        from costmodel.search._expected import expected

        return expected(self.steps(quantity), [block.name for block in self.space.blocks])

    # -- inside --------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Flat arrays, so that an entry is found by one index; `next` is where the next block's row begins."""
        widths = (*self.space.choices[1:], 0)
        self._flat: list[dict[str, NDArray[Any]]] = []
        for rows, width in zip(self.rows, widths, strict=True):
            flat = {name: np.ascontiguousarray(costs).reshape(-1) for name, costs in rows.costs.items()}
            self._flat.append({**flat, "next": np.ascontiguousarray(rows.after * width).reshape(-1)})

    def _walk(self, columns: NDArray[np.int64]) -> Any:
        """For each block its flat table, and where in it each candidate's entry stands."""
        start: NDArray[np.int64] | None = None
        for number, flat in enumerate(self._flat):
            at = columns[number] if start is None else start + columns[number]
            yield flat, at
            start = None
            if number + 1 < len(self._flat) and len(self.rows[number + 1].after) > 1:
                start = flat["next"].take(at)

    def _each(self, x: ArrayLike, of: Callable[[NDArray[np.int64]], NDArray[Any]], dtype: Any) -> NDArray[Any]:
        """`of` chunks of candidates, as columns."""
        given = self.space.shaped(x)
        options = np.array(self.space.choices, np.uint64)
        found = np.empty(len(given), dtype)
        for begin in range(0, len(given), _CHUNK):
            part = given[begin : begin + _CHUNK]
            columns = np.ascontiguousarray(part.T)
            if (columns.view(np.uint64).max(axis=1) >= options).any():  # a negative number is a large one without a sign
                self.space.checked(part)
            found[begin : begin + _CHUNK] = of(columns)
        return found

    def _sum(self, x: ArrayLike, name: str) -> NDArray[Any]:
        def added(columns: NDArray[np.int64]) -> NDArray[Any]:
            found: NDArray[Any] = np.zeros(columns.shape[1], FIELDS[name])
            for flat, at in self._walk(columns):
                found += flat[name].take(at)
            return found

        return self._each(x, added, FIELDS[name])

    def _makespans(self, columns: NDArray[np.int64]) -> NDArray[Any]:
        """When the last kernel ends: runs of kernels applied one after the other to (issued, ended)."""
        issued, ended = np.zeros(columns.shape[1]), np.zeros(columns.shape[1])
        for flat, at in self._walk(columns):
            ended = np.maximum(ended + flat["busy_s"].take(at), issued + flat["makespan_s"].take(at))
            issued += flat["launched_s"].take(at)
        return ended

    def _joules(self) -> tuple[float, float, float]:
        """Joules of a second, of a MAC and of a byte: energy is linear in them."""
        unit = ((1.0, 0, 0), (0.0, 1, 0), (0.0, 0, 1))
        second, mac, byte = (energy_j(self.target, latency_s=latency_s, macs=macs, traffic_bytes=nbytes) for latency_s, macs, nbytes in unit)
        if second is None or mac is None or byte is None:
            raise UsageError(f"the profile of {self.target.device.name} {self.target.processor} has no figures of energy in {self.target.dtype}")
        return second, mac, byte

    def _require_held(self) -> None:
        """Refuse where some candidate's weights exceed what the law's costs of kernels hold up to."""
        limit = self.combination.weight_bytes
        most = np.zeros(1, np.int64)
        for rows in self.rows:
            totals = most[:, None] + rows.costs["parameters"]
            following = np.zeros(int(rows.after.max()) + 1, np.int64)
            np.maximum.at(following, rows.after.reshape(-1), totals.reshape(-1))
            most = following
        needed = int(most.max()) * 4  # no format stores a parameter in more bytes
        if needed > limit:
            raise UsageError(
                f"{self.target.device.name} under {self.target.runtime}: weights of up to {needed} bytes exceed the cache of {limit:.0f}, so that the cost "
                "of a block depends on all others' weights: no table; estimate candidates one by one"
            )

    def _audit(self) -> None:
        """Compare some candidates with their estimates: a difference is a coupling of blocks that nothing above foresaw."""
        x = self.space.sample(_AUDITED, seed=0)
        found = {name: getattr(self, name)(x) for name in ("latency_s", "macs", "parameters", "traffic_bytes", "peak_activation_bytes")}
        for number, row in enumerate(x):
            report = estimate(self.space.graph(row, batch=self.batch), self.target)
            for name, values in found.items():
                true = getattr(report, name)
                if abs(values[number] - true) > TOLERANCE * abs(true):
                    raise UsageError(
                        f"{self.space.name} on {self.target.device.name} under {self.target.runtime}: {name} of candidate {row.tolist()} is {true!r}, "
                        f"its blocks give {values[number]!r}: they depend on more than shapes, so there is no table; estimate candidates one by one"
                    )


def _compiled(space: Space, pricer: Pricer) -> tuple[tuple[Rows, ...], frozenset[str]]:
    """The table of every block, stem and head included, and kinds without a cost."""
    stem = pricer.run(space.stem, None)
    shapes: list[Shape | None] = [stem.shape]
    tables: list[list[list[Piece]]] = []
    followed: list[list[Shape | None]] = []
    for block in space.blocks:
        last = block is space.blocks[-1] and not space.head
        tables.append([[pricer.run(option.layers, shape, last=last) for option in block.options] for shape in shapes])
        shapes = list(dict.fromkeys(piece.shape for row in tables[-1] for piece in row))
        followed.append(shapes)
    tables[0] = [[stem.then(piece) for piece in row] for row in tables[0]]
    heads = {shape: pricer.run(space.head, shape, last=True) for shape in shapes}
    _require_countable(space, pricer, tables, heads)
    rows = []
    for number, (table, left) in enumerate(zip(tables, followed, strict=True)):
        places = {shape: place for place, shape in enumerate(left)}
        after = np.array([[places[piece.shape] for piece in row] for row in table], np.int64)
        if number == len(tables) - 1:
            table = [[piece.then(heads[piece.shape]) for piece in row] for row in table]
            after = np.zeros_like(after)
        rows.append(
            Rows(after=after, costs={name: np.array([[getattr(piece, name) for piece in row] for row in table], kind) for name, kind in FIELDS.items()})
        )
    used = [piece.unmodelled for table in tables for row in table for piece in row]
    return tuple(rows), frozenset().union(*used, *(head.unmodelled for head in heads.values()))


def _require_countable(space: Space, pricer: Pricer, tables: list[list[list[Piece]]], heads: Mapping[Any, Piece]) -> None:
    """Refuse networks whose counts exceed numpy's integers, which wrap around silently."""
    most = np.iinfo(np.int64).max
    for name, kind in FIELDS.items():
        parts = [[getattr(piece, name) for row in table for piece in row] for table in tables]
        total = sum(map(max, parts)) + max(getattr(head, name) for head in heads.values())
        if kind is np.int64 and total > most:
            size = "x".join(map(str, space.resolution))
            raise UsageError(f"{space.name} on images of {size} at batch {pricer.batch}: up to {float(total):.3g} {name} are no 64-bit count; take fewer")
