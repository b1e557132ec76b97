"""Devices: TOML profiles, validated, and the targets (processor, runtime, dtype, cores, layout) that they offer."""

from costmodel.devices._catalogue import device, device_names, profile_folder
from costmodel.devices._cores import parse_cores
from costmodel.devices._load import MOST_BYTES, load_device, parse_device, require_hardware
from costmodel.devices._profile import Basis, Device, Profile, Provenance
from costmodel.devices._target import Target, hypothetical, resolve_target

__all__ = [
    "MOST_BYTES",
    "Basis",
    "Device",
    "Profile",
    "Provenance",
    "Target",
    "device",
    "device_names",
    "hypothetical",
    "load_device",
    "parse_cores",
    "parse_device",
    "profile_folder",
    "require_hardware",
    "resolve_target",
]
