"""Measuring on a device of one's own: what to measure (`suggest`), kits of networks to run there (`kit`), and the logs as rows (`ingest`)."""

from costmodel.measuring._ingest import Ingested, ingest
from costmodel.measuring._kit import Kit, KitNetwork, kit
from costmodel.measuring._suggest import suggest

__all__ = ["Ingested", "Kit", "KitNetwork", "ingest", "kit", "suggest"]
