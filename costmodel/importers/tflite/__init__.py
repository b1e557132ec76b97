"""TFLite."""

from costmodel.importers.tflite._export import write_tflite

__all__ = ["write_tflite"]
