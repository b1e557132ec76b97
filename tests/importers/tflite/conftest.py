"""These tests need the extra `tflite`, and LiteRT to execute what was written; the extra `test` brings both."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _packages() -> None:
    pytest.importorskip("tflite", reason="the extra tflite reads and writes these files")
    pytest.importorskip("ai_edge_litert", reason="the extra litert executes them")
