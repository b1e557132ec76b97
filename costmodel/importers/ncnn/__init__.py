"""ncnn: networks as ``.param`` files, which say everything but the weights (`write_param`)."""

from costmodel.importers.ncnn._write import write_param

__all__ = ["write_param"]
