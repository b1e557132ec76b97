"""PyTorch modules and saved programs as a `Graph`. The module is never changed; nothing is unpickled."""

from costmodel.importers.torch._count import Counts
from costmodel.importers.torch._factory import import_factory
from costmodel.importers.torch._module import count_module, import_module
from costmodel.importers.torch._saved import read_pt2
from costmodel.importers.torch._write import write_pt2

__all__ = ["Counts", "count_module", "import_factory", "import_module", "read_pt2", "write_pt2"]
