"""Devices: TOML profiles, validated, and the targets (processor, runtime, dtype, cores, layout) that they offer."""

from costmodel.devices._catalogue import device, device_names, profile_folder
from costmodel.devices._load import load_device, parse_device
from costmodel.devices._profile import Basis, Device, Profile, Provenance
from costmodel.devices._target import Target, hypothetical, resolve_target

__all__ = [
    "Basis",
    "Device",
    "Profile",
    "Provenance",
    "Target",
    "device",
    "device_names",
    "hypothetical",
    "load_device",
    "parse_device",
    "profile_folder",
    "resolve_target",
]
