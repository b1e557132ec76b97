"""PyTorch modules and saved programs as a `Graph`. The module is never changed; nothing is unpickled."""

from costmodel.importers.torch._count import Counts
from costmodel.importers.torch._module import count_module, import_module

__all__ = ["Counts", "count_module", "import_module"]
