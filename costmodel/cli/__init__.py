"""The command line: one click command a file, loaded when it is called. Commands parse, call the API and print; no arithmetic.

Results go to stdout, everything else to stderr. Exit codes: 0 ok, 1 failure, 2 usage, 3 a stated budget was exceeded,
4 invalid input file, 130 interrupted.
"""

from costmodel.cli._main import main

__all__ = ["main"]
