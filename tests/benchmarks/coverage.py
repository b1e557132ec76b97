"""Which networks of other libraries import, with counts equal to torch's own, and which lower as those built here. Writes a table, asserts nothing.

    python -m tests.benchmarks.coverage -o reports/coverage.md

Needs what `tests/peers.py` names. Networks are on the meta device; times are CPU seconds of the import alone, in one process.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from costmodel.importers.torch import import_module
from tests.importers.torch.helpers import learned, macs_of_torch, unknown_operators
from tests.importers.torch.networks import NETWORKS, OPTIONS, input_shape, tried
from tests.importers.torch.parity import CASES, LARGER, TARGETS, Case, beside, both
from tests.peers import peer

COMMAND = "python -m tests.benchmarks.coverage -o reports/coverage.md"


def one(model: str) -> tuple[str, bool]:
    """The table's cells for one network after its family and name, and whether it imported with equal counts and nothing unknown."""
    import torch

    try:
        network = peer(
            model, device="cpu" if "torchvision:regnet" in model else "meta", **OPTIONS.get(model, {})
        )  # torchvision's RegNets compute while they are built
        shape = input_shape(model, network)
        start = time.process_time()
        graph = import_module(network, [shape]).graph
        seconds = time.process_time() - start
    except Exception as error:
        return f"| - | - | - | {type(error).__name__}: {str(error)[:100]} | - | - |", False
    macs, parameters = macs_of_torch(network, [torch.empty(shape, device="meta")]), learned(network)
    unknown = Counter(unknown_operators(graph))
    faults = [
        f"{what}: {there:,} in torch" for what, here, there in (("MACs", graph.macs, macs), ("parameters", graph.parameters, parameters)) if here != there
    ]
    faults += graph.notes
    named = ", ".join(f"{name} {count}x" for name, count in sorted(unknown.items())) or "none"
    return f"| {len(graph)} | {graph.macs:,} | {graph.parameters:,} | {'; '.join(faults) or 'yes'} | {named} | {seconds:.1f} |", not faults and not unknown


def import_table() -> Iterator[str]:
    """Lines of the first table."""
    rows, equal, families = [], 0, set()
    for kind, family, model in tried():
        cells, fine = one(model)
        equal += fine
        if fine:
            families.add(family)
        rows.append(f"| {kind} | {family} | `{model}` {cells}")
        print(rows[-1], flush=True)
    every = sum(len(found) for found in NETWORKS.values())
    yield f"{equal} of {len(rows)} networks import with MACs equal to `torch.utils.flop_counter.FlopCounterMode` on the meta device, attention included,"
    yield f"parameters equal, every call known and none captured from an example; {len(families)} of {every} families have one such network or more."
    yield ""
    yield "| kind | family | network | operators | MACs | parameters | equal | unknown | CPU s |"
    yield "|---|---|---|---|---|---|---|---|---|"
    yield from rows


def parity_line(case: Case) -> tuple[str, bool]:
    """A row of the second table, and whether the two are equal."""
    found = beside(*both(case))
    counted = [(ratio, sum(ours.values()), sum(theirs.values())) for ratio, ours, theirs in found.values()]
    cells = " | ".join(f"{100 * ratio - 100:+.2f} %{f', {ours}/{theirs}' if ours or theirs else ''}" for ratio, ours, theirs in counted)
    fine = all(abs(ratio - 1) <= 0.005 and not ours and not theirs for ratio, ours, theirs in counted)
    return f"| {case.ours} | `{case.peer}` | {cells} | {case.differs or ('' if fine else 'not explained')} |", fine


def parity_table() -> Iterator[str]:
    """Lines of the second table."""
    rows, equal = [], 0
    for case in (*CASES, *LARGER):
        line, fine = parity_line(case)
        equal += fine
        rows.append(line)
        print(line, flush=True)
    yield f"{equal} of {len(rows)} pairs give the same kernels (kind, MACs, traffic) on all of {', '.join(TARGETS)}, and latencies within 0.5 %."
    yield "The table shows how far the imported network's latency is from ours and, where kernels differ, how many only ours and only theirs has."
    yield ""
    yield f"| ours | theirs, imported | {' | '.join(TARGETS)} | what truly differs |"
    yield f"|---|---|{'---|' * len(TARGETS)}---|"
    yield from rows


def main() -> None:
    """Write the report."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    output = parser.parse_args().output
    warnings.filterwarnings("ignore")  # of the other libraries
    torch.set_num_threads(1)
    text = ["# What the torch import covers", "", f"`{COMMAND}`, torch {torch.__version__.partition('+')[0]}.", "", "## Networks of other libraries", ""]
    text += [*import_table(), "", "## Networks of the zoo beside the same networks imported", "", *parity_table(), ""]
    output.write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
