"""Dtypes: the precisions that a network may run in are the same wherever they are named."""

from __future__ import annotations

import ast
from pathlib import Path

import click
import pytest

import costmodel
from costmodel.cli._main import _costmodel
from costmodel.devices import device_names
from costmodel.errors import UsageError
from costmodel.lowering import lower, rule_set
from costmodel.tensor import PRECISIONS, DType

PACKAGE = Path(costmodel.__file__).parent


def test_every_precision_but_autocast_is_a_dtype() -> None:
    assert set(PRECISIONS) - {"amp"} < set(map(str, DType))


@pytest.mark.parametrize("command", ["analyze", "compare"])
def test_the_command_line_takes_the_precisions(command: str) -> None:
    found = _costmodel.get_command(click.Context(_costmodel), command)
    assert found is not None
    (option,) = [param for param in found.params if param.name == "dtype"]
    assert isinstance(option.type, click.Choice)
    assert tuple(option.type.choices) == PRECISIONS


def test_profiles_name_no_other_precision() -> None:
    stacks = [stack for name in device_names() for unit in costmodel.device(name).profile.processors.values() for stack in unit.runtimes.values()]
    assert {dtype for stack in stacks for dtype in stack.dtypes} <= set(PRECISIONS)


def test_any_other_name_is_refused_with_those_that_exist() -> None:
    with pytest.raises(UsageError, match=f"{', '.join(PRECISIONS)}, not 'int64'"):
        lower(costmodel.build("lenet-5"), rule_set("tflite"), "int64")


def test_the_list_is_written_once() -> None:
    holders = [
        path.name
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Tuple) and {"fp32", "amp"} <= {element.value for element in node.elts if isinstance(element, ast.Constant)}
    ]
    assert holders == ["tensor.py"]
