"""ONNX files as a `Graph` and back. Weights are never loaded; external data is never opened."""

from costmodel.importers.onnx._read import import_onnx, read_onnx
from costmodel.importers.onnx._write import write_onnx

__all__ = ["import_onnx", "read_onnx", "write_onnx"]
