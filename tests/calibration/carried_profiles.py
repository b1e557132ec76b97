"""Constants that profiles carry over from a measured relative: ``python -m tests.calibration.carried_profiles``.

Under TensorFlow Lite's own kernels, a profile whose source `like` says "constants of pixel4 in cycles" gets that profile's constants anew, as
`costmodel calibrate --like` would give them, and the source that says how. Profiles that were fitted afterwards keep their constants. To be run after every
fit of a Pixel 4 or a Galaxy S10.

Under torch.compile the Core i7-12700H takes what was fitted to the i9-10940X, but for what is stated of its own caches. To be run after every fit of that.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from costmodel.calibration.profile_text import Table, literal, with_values
from costmodel.calibration.transfer import SOURCE, carried_stack, plain, source_of
from costmodel.devices import profile_folder

RUNTIME = "tflite-padded"
#: (profile, relative) under torch.compile, in fp32, and the constants that are the hardware's own.
COMPILED, HARDWARE = ("i7-12700h", "i9-10940x"), frozenset({"cache_mib", "core_cache_mib"})


def relative_of(document: Mapping[str, Any]) -> str:
    """The profile that constants are carried over from; empty where there is none."""
    said = re.match(r"constants of ([a-z0-9-]+) in cycles", document.get("sources", {}).get(SOURCE, ""))
    return said[1] if said else ""


def carried(document: Mapping[str, Any], relative: Mapping[str, Any]) -> dict[Table, dict[str, Any]]:
    """Table -> its constants, of every precision of a profile that is as the relative gives it."""
    processor, origin = document["processors"]["cpu"], relative["processors"]["cpu"]
    own = processor["runtimes"].get(RUNTIME, {}).get("dtypes", {})
    given = carried_stack(origin["runtimes"][RUNTIME], own, processor, origin)["dtypes"]
    found: dict[Table, dict[str, Any]] = {}
    for dtype, stated in own.items():
        if stated.get("source") != SOURCE or stated.get("basis") != "transferred":
            continue
        path = ("processors", "cpu", "runtimes", RUNTIME, "dtypes", dtype, "parameters")
        parameters = dict(given[dtype]["parameters"])
        cores = parameters.pop("cores")
        found[path] = parameters
        found |= {(*path, "cores", core): constants for core, constants in cores.items()}
    return found


def anew(text: str, relative: Mapping[str, Any]) -> str:
    """The profile's text with the relative's constants."""
    changes = {("sources",): {SOURCE: source_of(str(relative["name"]))}, **carried(tomllib.loads(text), relative)}
    return with_values(text, {table: {key: literal(value) for key, value in values.items()} for table, values in changes.items()})


def compiled(text: str, relative: Mapping[str, Any]) -> str:
    """The profile's text with the relative's shares and costs of compiled kernels."""
    path = ("processors", "cpu", "runtimes", "torch-compile", "dtypes", "fp32", "parameters")
    given: Any = relative
    for key in path:
        given = given[key]
    changes: dict[Table, dict[str, str]] = {}
    for name, value in plain(given).items():
        if isinstance(value, Mapping):
            changes[*path, name] = {key: literal(share) for key, share in value.items()}
        elif name not in HARDWARE:
            changes.setdefault(path, {})[name] = literal(value)
    return with_values(text, changes)


def main(folder: Path) -> None:
    """Write them into every profile that carries them."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.toml"))}
    for name, text in texts.items():
        relative = relative_of(tomllib.loads(text))
        if relative:
            (folder / f"{name}.toml").write_text(anew(text, tomllib.loads(texts[relative])), encoding="utf-8")
    name, relative = COMPILED
    (folder / f"{name}.toml").write_text(compiled(texts[name], tomllib.loads(texts[relative])), encoding="utf-8")


if __name__ == "__main__":
    main(profile_folder())
