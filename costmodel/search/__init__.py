"""Search: spaces as chains of choice blocks, their costs as tables, and algorithms over both.

`space` names the published spaces, `Space` makes another; `LatencyTable` costs millions of candidates a second as `estimate` would.
One algorithm a file: `exact` (dynamic programming), `random_search`, `evolution`, `nsga2`; `rewards` are the papers' objectives.
`evaluators` score candidates; `find` searches by one of them, and `outer_search` is its loop for those that take their time.

Examples
--------
A space of one's own: three stages, each with a width and a kernel size to choose, and the last may be left out. An option is its layers
and what it is in words; in a module, ``costmodel search module:function`` searches the space that the function returns.

>>> import costmodel
>>> from costmodel.search import Block, LatencyTable, Option, Space, evaluators, find
>>> from costmodel.search.layers import Classifier, Conv, MBConv
>>> def stage(name, stride, *more):
...     choices = [(width, kernel) for width in (16, 24) for kernel in (3, 5)]
...     made = [Option((MBConv(width, kernel, stride, 4),), (("width", width), ("kernel_size", kernel))) for width, kernel in choices]
...     return Block(name=name, options=(*made, *more))
>>> skipped = Option((), (("width", 0), ("kernel_size", 0)))
>>> mine = Space(
...     name="mine",
...     resolution=(64, 64),
...     stem=(Conv(8, 3, 2),),
...     blocks=(stage("one", 2), stage("two", 2), stage("three", 1, skipped)),
...     head=(Classifier(64, 10),),
... )
>>> mine.size
80
>>> table = LatencyTable(mine, costmodel.target("pixel4"))
>>> found = find(table, evaluators.named("parameters", table), target_s=0.22e-3)
>>> best = found.best()[0]
>>> mine.decode(found.candidates[best])["three"]
{'width': 0, 'kernel_size': 0}
>>> bool(found.latency_s[best] <= 0.22e-3)
True
"""

from costmodel.search import exact, rewards
from costmodel.search._document import document
from costmodel.search._find import ALGORITHMS, CHEAP_TRIALS, TRIALS, Algorithm, algorithm_for, find
from costmodel.search._folder import Folder, SearchWarning
from costmodel.search._journal import has_search, require_search
from costmodel.search._outcome import Outcome, Progress
from costmodel.search._rows import Quantity, Step
from costmodel.search._space import Block, Layer, Option, Space
from costmodel.search._table import LatencyTable
from costmodel.search._trials import Evaluate, Trials
from costmodel.search._winners import Winner, export_winners
from costmodel.search.evolution import evolution
from costmodel.search.nsga2 import EvaluateMany, nsga2
from costmodel.search.outer import outer_search
from costmodel.search.random_search import random_search
from costmodel.search.spaces import space, spaces

__all__ = [
    "ALGORITHMS",
    "CHEAP_TRIALS",
    "TRIALS",
    "Algorithm",
    "Block",
    "Evaluate",
    "EvaluateMany",
    "Folder",
    "LatencyTable",
    "Layer",
    "Option",
    "Outcome",
    "Progress",
    "Quantity",
    "SearchWarning",
    "Space",
    "Step",
    "Trials",
    "Winner",
    "algorithm_for",
    "document",
    "evolution",
    "exact",
    "export_winners",
    "find",
    "has_search",
    "nsga2",
    "outer_search",
    "random_search",
    "require_search",
    "rewards",
    "space",
    "spaces",
]
