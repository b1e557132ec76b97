"""Start-up stays light: what the main job never loads."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "scipy", "matplotlib", "numpy", "networkx", "pandas", "onnx", "tflite", "jinja2")


@pytest.mark.parametrize(
    "code",
    [
        "import costmodel",
        "import costmodel; costmodel.estimate('efficientnet-b0', device='pixel4')",
        "from costmodel.cli import main; main(['analyze', 'efficientnet-b0', '--device', 'pixel4'])",
        "from costmodel.cli import main; main(['models'])",
        "from costmodel.cli import main; main(['devices'])",
        "import costmodel; costmodel.scale('mobilenet-v2', device='pixel4', budget_s=0.02)",
        "import costmodel; costmodel.simulate('mobilenet-v2', device='coral-usb')",
        "from costmodel.cli import main; main(['simulate', 'mobilenet-v2', '--device', 'v100', '--per-s', '10', '--requests', '10'])",
        "from costmodel.cli import main; main(['sweep', 'mobilenet-v2', '--device', 'pixel4', '--batch', '1,2'])",
        "from costmodel.cli import main; main(['recommend', '--family', 'ghostnet', '--device', 'pixel4', '--max-latency-ms', '20'])",
    ],
)
def test_heavy_modules_are_not_loaded(code: str) -> None:
    check = f"import sys\n{code}\nprint('LOADED', *[name for name in {HEAVY!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=120, check=True)
    assert result.stdout.splitlines()[-1].strip() == "LOADED"


def test_search_loads_what_it_needs_when_it_needs_it() -> None:
    heavy = ("torch", "optuna", "sklearn", "scipy", "matplotlib", "PIL", "onnx", "tflite")
    check = f"import costmodel.search.evaluators, costmodel.cli.search, sys; print('LOADED', *[name for name in {heavy!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=120, check=True)
    assert result.stdout.strip() == "LOADED"


def test_importing_the_package_loads_no_part_of_it() -> None:
    check = "import sys, costmodel; print(sorted(name for name in sys.modules if name.startswith('costmodel')))"
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=120, check=True)
    assert result.stdout.strip() == "['costmodel', 'costmodel._version']"


def test_commands_load_what_writes_files_when_they_write() -> None:
    every = "from costmodel.cli._main import _COMMANDS; [importlib.import_module(f'costmodel.cli.{name}') for name in _COMMANDS.values()]"
    check = f"import importlib, sys; {every}; print('LOADED', *{{'costmodel.durable', 'tempfile'}} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=120, check=True)
    assert result.stdout.strip() == "LOADED"
