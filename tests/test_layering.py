"""The package is a house of rooms in layers: a module imports from lower layers and from its own room, never up, sideways or around."""

from __future__ import annotations

import ast
import configparser
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "costmodel"

#: Layers from the ground up. A room is a module or a folder of the package; where a layer is a tuple, its order counts:
#: a room may import from those before it. The rooms of a set stand side by side and do not know each other.
LAYERS: tuple[tuple[str, ...] | set[str], ...] = (
    ("frozen", "errors", "files", "quantity", "durable", "_version"),
    ("tensor", "work"),
    ("recognition", "operator", "kernel", "graph"),
    {"ops", "laws", "lowering"},
    {"devices", "zoo"},
    {"memory", "energy", "interval", "compression", "convention", "edits"},
    {"estimation", "simulation"},
    {"decisions"},
    ("reference", "importers", "opportunities"),
    {"calibration", "scaling", "search", "reporting"},
    {"measuring"},
    ("api", "simulating", "front"),
    ("cli", "__main__"),
)

#: Modules loaded by name rather than imported, upwards, with the reason.
LOADED_BY_NAME = {
    ("operator", "ops"): "the registry fills itself from the family files, which it names",
    ("estimation", "reporting"): "an estimate writes its own page, as its users expect, and the pages are made above it",
}

Imports = dict[str, set[str]]


def modules(folder: Path) -> dict[str, Path]:
    """Every module of a package by its dotted name; a package's own name stands for its ``__init__``."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = (folder.name, *path.relative_to(folder).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(source: str, module: str, known: Iterable[str]) -> tuple[set[str], set[str]]:
    """(modules that `module` imports, beginnings of those that it loads by name), of those in `known`; in functions and for types too."""
    known = set(known)
    statements, by_name = set(), set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            statements |= {alias.name for alias in node.names if alias.name in known}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: relative imports hide where they lead"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                statements |= {inner} if inner in known else {node.module or ""} & known
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("importlib.import_module", "import_module", "__import__"):
            text = node.args[0].values[0] if isinstance(node.args[0], ast.JoinedStr) else node.args[0]
            if isinstance(text, ast.Constant) and str(text.value).startswith(f"{PACKAGE}."):
                by_name.add(str(text.value).rstrip("."))
    return statements - {module}, by_name


def room(module: str) -> str:
    """The room of a module; the package's own ``__init__`` is the front of those that offer names."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "front"


def positions() -> dict[str, tuple[int, int]]:
    """Layer of every room, and its place in a layer whose order counts (0 where it does not)."""
    return {name: (number, place if isinstance(layer, tuple) else 0) for number, layer in enumerate(LAYERS) for place, name in enumerate(layer)}


def direction_faults(imports: Mapping[str, set[str]], allowed: Iterable[tuple[str, str]] = ()) -> list[str]:
    """A line for each import that leads up or sideways."""
    place = positions()
    unknown = sorted({room(module) for module in imports} - set(place))
    faults = [f"{name} has no layer: give it one in LAYERS" for name in unknown]
    for module, targets in sorted(imports.items()):
        for target in sorted(targets):
            here, there = room(module), room(target)
            if here == there or (here, there) in allowed or here in unknown or there in unknown:
                continue
            if place[there] >= place[here]:
                faults.append(f"{module} (layer {place[here][0]}) imports {target} (layer {place[there][0]})")
    return faults


def cycles(imports: Mapping[str, set[str]]) -> list[str]:
    """Modules that can reach themselves."""

    def reachable(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = list(imports.get(start, ()))
        while waiting:
            module = waiting.pop()
            if module not in seen:
                seen.add(module)
                waiting.extend(imports.get(module, ()))
        return seen

    return [module for module in sorted(imports) if module in reachable(module)]


@pytest.fixture(scope="module")
def imports() -> tuple[Imports, Imports]:
    """What every module of the package imports, and what it loads by name."""
    known = modules(ROOT / PACKAGE)
    found = {name: imported(path.read_text(encoding="utf-8"), name, known) for name, path in known.items()}
    return {name: statements for name, (statements, _) in found.items()}, {name: by_name for name, (_, by_name) in found.items()}


def test_imports_lead_down(imports: tuple[Imports, Imports]) -> None:
    assert direction_faults(imports[0]) == []


def test_loading_by_name_leads_down_or_is_explained(imports: tuple[Imports, Imports]) -> None:
    assert direction_faults(imports[1], LOADED_BY_NAME) == []
    used = {(room(module), room(target)) for module, targets in imports[1].items() for target in targets}
    assert set(LOADED_BY_NAME) <= used, "an exception that nothing needs"


def test_no_module_imports_itself_around_others(imports: tuple[Imports, Imports]) -> None:
    # the front of the package imports api lazily, which nothing below imports back
    assert cycles(imports[0]) == []


def planted(**sources: str) -> Imports:
    """The imports of a package that consists of `sources`; ``__`` in a name is a dot."""
    named = {f"{PACKAGE}.{name.replace('__', '.')}": source for name, source in sources.items()}
    return {name: imported(source, name, named)[0] for name, source in named.items()}


@pytest.mark.parametrize(
    ("sources", "fault"),
    [
        ({"errors": "from costmodel.graph import Graph", "graph": ""}, "costmodel.errors (layer 0) imports costmodel.graph (layer 2)"),
        ({"errors": "from costmodel import quantity", "quantity": ""}, "costmodel.errors (layer 0) imports costmodel.quantity (layer 0)"),
        ({"memory": "import costmodel.energy", "energy": ""}, "costmodel.memory (layer 5) imports costmodel.energy (layer 5)"),
        ({"energy": "import costmodel.memory", "memory": ""}, "costmodel.energy (layer 5) imports costmodel.memory (layer 5)"),
        ({"laws__a": "def f():\n    from costmodel.ops.b import g", "ops__b": ""}, "costmodel.laws.a (layer 3) imports costmodel.ops.b (layer 3)"),
        (
            {"graph": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from costmodel.zoo import Net", "zoo": ""},
            "costmodel.graph (layer 2) imports costmodel.zoo (layer 4)",
        ),
        ({"attic": ""}, "attic has no layer: give it one in LAYERS"),
    ],
)
def test_a_planted_violation_is_found(sources: dict[str, str], fault: str) -> None:
    assert direction_faults(planted(**sources)) == [fault]


def test_what_is_allowed_is_not_reported() -> None:
    assert direction_faults(planted(quantity="from costmodel.errors import E", errors="", work="from costmodel import tensor", tensor="")) == []
    assert direction_faults(planted(zoo__a="from costmodel.zoo.b import c\nimport json", zoo__b="from costmodel.graph import d", graph="")) == []


def test_a_planted_cycle_is_found() -> None:
    ring = {"zoo__a": "from costmodel.zoo import b", "zoo__b": "from costmodel.zoo.c import x", "zoo__c": "def f():\n    import costmodel.zoo.a", "zoo__d": ""}
    assert cycles(planted(**ring)) == ["costmodel.zoo.a", "costmodel.zoo.b", "costmodel.zoo.c"]
    assert cycles(planted(**(ring | {"zoo__c": "from costmodel.zoo import d"}))) == []


def test_modules_loaded_by_name_are_seen() -> None:
    source = 'import importlib\nimportlib.import_module(f"costmodel.zoo.{name}")\nimportlib.import_module("json")\nimportlib.import_module(name)'
    assert imported(source, "costmodel.operator", ()) == (set(), {"costmodel.zoo"})


def test_the_listed_packages_are_the_tree() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    places = dict(line.replace(" ", "").split("=") for line in config["options"]["package_dir"].split("\n") if line)
    listed = config["options"]["packages"].split()
    folders = {f"{PACKAGE}.{'.'.join(path.relative_to(ROOT / PACKAGE).parts)}".rstrip(".") for path in _packages()}
    assert listed == sorted(listed)
    assert set(listed) == folders | (set(places) - {PACKAGE})
    assert all((ROOT / folder).is_dir() for folder in places.values())


def _packages() -> set[Path]:
    """Every folder with modules; each must be a package."""
    folders = {path.parent for path in (ROOT / PACKAGE).rglob("*.py")}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []
    return folders
