"""The architectures: one file a family, stage tables as data, a function that returns a `Graph`.

`find` turns a name such as ``mobilenet-v2-1.4@192`` into an `Architecture` with its width and resolution; nothing is
built to list or find names.
"""

from costmodel.zoo._accuracies import EVALUATIONS, Published, canonical, published_top1
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._names import MAX_MULTIPLIER, MIN_MULTIPLIER, Request, architectures, build, find

__all__ = [
    "EVALUATIONS",
    "MAX_MULTIPLIER",
    "MIN_MULTIPLIER",
    "Accuracy",
    "Architecture",
    "Options",
    "Published",
    "Request",
    "architectures",
    "build",
    "canonical",
    "find",
    "published_top1",
]
