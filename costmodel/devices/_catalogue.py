"""Finding profiles: by name among those that ship with the package, or by path."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from costmodel.devices._load import load_device
from costmodel.devices._profile import Device
from costmodel.errors import InvalidFileError, UsageError, unknown

#: The name of the profile that is made for the machine that this runs on.
THIS_MACHINE = "this-machine"


def profile_folder() -> Path:
    """The folder of the shipped profiles: inside an installed package, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "device_profiles"
    return installed if installed.is_dir() else package.parent / "device_profiles"


def device_names() -> tuple[str, ...]:
    """Names of the shipped profiles, sorted; no file is opened."""
    return tuple(sorted(path.stem for path in profile_folder().glob("*.toml")))


def device(name: str | Path) -> Device:
    """The device of a name, or of a path to a TOML file; ``this-machine`` is the one that this runs on.

    Raises
    ------
    UnknownNameError
        If it is neither; with close matches.
    InvalidFileError, ProfileError
        If the file is unreadable or faulty.
    """
    text = str(name)
    if text.endswith(".toml") or "/" in text:
        if not text.endswith(".toml"):
            raise InvalidFileError(f"{text}: a device profile is a .toml file")
        return load_device(text)
    if not text:
        raise UsageError("the device name is empty; `costmodel devices` lists them all")
    return _shipped(text)


@lru_cache(maxsize=256)
def _shipped(name: str) -> Device:
    if name == THIS_MACHINE:
        from costmodel.devices import _local

        return _local.local_device(name, _shipped(_local.SIBLING))
    path = profile_folder() / f"{name}.toml"
    if name not in device_names():
        raise unknown("device", name, (*device_names(), THIS_MACHINE), hint="`costmodel devices` lists them all, and a path to a .toml file is one too")
    return load_device(path)
