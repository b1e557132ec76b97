"""The command line: one click command a file, loaded when it is called. Commands parse, call the API and print; no arithmetic.

Results go to stdout, everything else to stderr. Exit codes: 0 ok, 1 failure, 2 usage, 3 a stated budget was exceeded,
4 invalid input file, 130 interrupted.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code. An interrupt during start-up is as quiet as a later one.

    Cycles are not collected meanwhile: a command is short, and looking for them is a twentieth of its time.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        from costmodel.cli._main import run

        return run(arguments)
    except KeyboardInterrupt:
        import sys

        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    finally:
        if collecting:
            gc.enable()


__all__ = ["INTERRUPTED", "main"]
