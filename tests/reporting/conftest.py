"""Pages read back: the elements, their attributes, the text, and the data."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

from costmodel.graph import Graph, GraphBuilder
from costmodel.ops.arithmetic import Add
from costmodel.ops.convolution import Conv2d
from costmodel.ops.elementwise import ReLU
from costmodel.tensor import TensorSpec


class Page(HTMLParser):
    """The elements of a page with their attributes, the text outside scripts and styles, and the contents of the scripts."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.words: list[str] = []
        self._inside = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag if tag in ("script", "style") else ""
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = attributes, text + data
        elif not self._inside:
            self.words.append(data)

    @property
    def text(self) -> str:
        """The text that a reader without scripts sees, in one line."""
        return " ".join(" ".join(self.words).split())

    @property
    def data(self) -> dict[str, Any]:
        """The document that the scripts work on."""
        (found,) = (text for attributes, text in self.scripts if attributes.get("id") == "data")
        document: dict[str, Any] = json.loads(found)
        return document

    @property
    def ids(self) -> set[str | None]:
        """Every id."""
        return {attributes.get("id") for _, attributes in self.elements}


@pytest.fixture(scope="session")
def read() -> Callable[[str], Page]:
    """A function from the text of a page to what it holds."""
    return Page


@pytest.fixture(scope="session")
def chain() -> Callable[..., Graph]:
    """A function from a number of operators to a residual network of so many, each width another one; `flat` without modules."""

    def make(operators: int, *, flat: bool = False) -> Graph:
        builder = GraphBuilder("chain")
        x = builder.input("image", TensorSpec((1, 8, 16, 16)))
        for number in range(operators // 3):
            where = "" if flat else f"stage{number // 100}.block{number // 5}."
            y = builder.add(Conv2d(8, (3, 3)), x, name=f"{where}conv{number}")
            x = builder.add(Add(), builder.add(ReLU(), y, name=f"{where}relu{number}"), x, name=f"{where}add{number}")
        return builder.build(x)

    return make
