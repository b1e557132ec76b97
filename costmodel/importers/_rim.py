"""Where files come in: every fault of a file becomes one error that names the file and the place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from costmodel.errors import CostModelError, InvalidFileError, OperatorError, ShapeError, UsageError
from costmodel.recognition import UnreadableCallError

#: What code that reads untrusted values raises where they are not what it expects.
FAULTS = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, AssertionError, RecursionError, MemoryError, EOFError)


@contextmanager
def code_of_others(what: str) -> Iterator[None]:
    """Run code that somebody else wrote: neither `sys.exit` in it nor an exception of a kind of its own ends the process.

    Raises
    ------
    UsageError
        If it does so, about `what`.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt, GeneratorExit):
        raise
    except SystemExit as error:
        raise UsageError(f"{what}: its code ends the process: sys.exit({error.code!r})") from None
    except BaseException as error:
        raise UsageError(f"{what}: its code raises {type(error).__name__}: {error}") from error


@contextmanager
def reading(path: object, what: str) -> Iterator[None]:
    """Turn every fault inside into an `InvalidFileError` about `path`, which should be `what`."""
    try:
        yield
    except InvalidFileError as error:
        text = str(error)
        raise error if text.startswith(str(path)) else InvalidFileError(f"{path}: {text}") from None
    except OSError as error:
        raise InvalidFileError(f"{path}: cannot be read: {error.strerror or error}") from None
    except OperatorError:
        raise  # a class of the user's own is wrong, not the file
    except UsageError as error:
        if isinstance(error, ShapeError):
            raise InvalidFileError(f"{path}: {error}") from None
        raise
    except (CostModelError, UnreadableCallError) as error:
        raise InvalidFileError(f"{path}: {error}") from None
    except FAULTS as error:
        raise InvalidFileError(f"{path}: is not {what}, or is damaged: {type(error).__name__}: {str(error)[:200]}") from None
