"""Writes the committed files anew: ``python -m tests.importers.onnx.make_files`` (needs torch, onnx, onnxscript).

The networks are those of `networks`, with random weights; what is committed has no weights and no record of this machine.
"""

from __future__ import annotations

from pathlib import Path

import onnx

from costmodel.importers.onnx._wire import stripped
from tests.importers.onnx.networks import NETWORKS, Exporter, example, export, network

FOLDER = Path(__file__).parent / "files"
#: Marks that say which module made a node, what a stored tensor is, and what was folded.
KEPT = ("pkg.torch.onnx.name_scopes", "pkg.torch.export.graph_signature.InputSpec.kind", "pkg.onnxscript.rewriter.rule_name")

#: Exporter, operator set, and for which networks.
FILES: tuple[tuple[Exporter, int, tuple[str, ...]], ...] = (
    ("legacy", 11, ("images", "words")),
    ("legacy", 13, ("images", "windows")),
    ("legacy", 14, ("tokens",)),
    ("legacy", 16, ("tokens", "windows")),
    ("legacy", 17, ("images", "tokens", "windows", "words")),
    ("legacy", 20, ("images", "tokens", "words")),
    ("dynamo", 18, ("images", "tokens", "windows")),
    ("dynamo", 20, ("images", "tokens", "windows")),
    ("dynamo", 22, ("images", "tokens", "windows")),
    ("dynamo", 23, ("tokens",)),
)


def file_name(network_name: str, exporter: Exporter, opset: int, is_open: bool, whole: bool) -> str:
    """``tokens-legacy-17-open.onnx``; ``-folded`` is what the exporter makes by default."""
    return f"{network_name}-{exporter}-{opset}{'-open' if is_open else ''}{'' if whole else '-folded'}.onnx"


def variants() -> list[tuple[str, Exporter, int, bool, bool]]:
    """Every committed file: network, exporter, operator set, open batch, whole."""
    found = []
    for exporter, opset, names in FILES:
        for name in names:
            found.append((name, exporter, opset, False, True))
            if opset in (17, 20):
                found.append((name, exporter, opset, True, True))
                found.append((name, exporter, opset, False, False))
    return found


def without_weights(path: Path) -> bytes:
    """The file without numbers, descriptions and paths."""
    model = onnx.ModelProto.FromString(stripped(path))
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        kept = [entry for entry in part.metadata_props if entry.key in KEPT]
        del part.metadata_props[:]
        part.metadata_props.extend(kept)
    return model.SerializeToString(deterministic=True)


def main() -> None:
    """Write every file."""
    FOLDER.mkdir(exist_ok=True)
    for name, exporter, opset, is_open, whole in variants():
        path = FOLDER / file_name(name, exporter, opset, is_open, whole)
        export(network(name), example(name, 2 if is_open else 1), path, exporter, opset=opset, is_open=is_open, whole=whole)
        path.write_bytes(without_weights(path))
        print(path.name, path.stat().st_size)


if __name__ == "__main__":
    assert NETWORKS
    main()
