"""One estimate as one self-contained HTML page: `page` makes the text, `write` a file."""

from costmodel.reporting.html._page import page, write

__all__ = ["page", "write"]
