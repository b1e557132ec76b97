"""Which endings of file names say what is written."""

#: Kinds of pictures.
PICTURES = (".png", ".svg", ".pdf")
#: Pages to look at in a browser.
PAGES = (".html", ".htm")
#: Tables and documents.
DATA = (".csv", ".json")
