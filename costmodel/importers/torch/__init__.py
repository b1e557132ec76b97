"""PyTorch modules and saved programs as a `Graph`. The module is never changed; nothing is unpickled."""

from costmodel.importers.torch._module import import_module

__all__ = ["import_module"]
