"""What the constants of a law count, written beside each as an annotation."""

from __future__ import annotations

from enum import Enum

from costmodel.laws._base import Parameters


class Mark(Enum):
    """What a constant counts, where that decides how it carries over to other cores and what is off with it, and who chooses a parameter."""

    PRODUCT = "multiplications of matrix products"
    DEPTHWISE = "multiplications of depthwise windows"
    GROUPED = "multiplications of grouped windows"
    MOVED = "elements moved; what is not and is no launch is arithmetic"
    MEMORY = "elements moved between caches, or into them"
    FUNCTION = "nonlinear functions, a library's work"
    SINGLE = "work that is like no other constant's: a serial loop, a call, strides through memory"
    LAUNCH = "kernels"
    CHOSEN = "nothing: a runtime chooses it by the vendor of a processor"


def marked(schema: type[Parameters], *marks: Mark) -> tuple[str, ...]:
    """Names of the constants that carry one of the marks.

    Examples
    --------
    >>> from costmodel.laws._cycle_constants import Constants
    >>> marked(Constants, Mark.LAUNCH)
    ('kernel_cycles',)
    """
    return tuple(name for name, field in schema.model_fields.items() if any(mark in field.metadata for mark in marks))
