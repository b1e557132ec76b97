"""Search: spaces as chains of choice blocks, their costs as tables, and algorithms over both.

`space` names the published spaces, `Space` makes another; `LatencyTable` costs millions of candidates a second as `estimate` would.
One algorithm a file: `exact` (dynamic programming), `random_search`, `evolution`, `nsga2`; `rewards` are the papers' objectives.
`evaluators` score candidates; `find` searches by one of them, and `outer_search` is its loop for those that take their time.
"""

from costmodel.search import exact, rewards
from costmodel.search._document import document
from costmodel.search._find import ALGORITHMS, CHEAP_TRIALS, TRIALS, Algorithm, algorithm_for, find
from costmodel.search._folder import Folder
from costmodel.search._journal import JournalWarning, has_search, require_search
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
    "JournalWarning",
    "LatencyTable",
    "Layer",
    "Option",
    "Outcome",
    "Progress",
    "Quantity",
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
