"""PyTorch modules and saved programs as a `Graph`. The module is never changed; nothing is unpickled."""

from costmodel.importers.torch._module import from_torch, import_module

__all__ = ["from_torch", "import_module"]
