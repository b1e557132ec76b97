"""Lowering: a graph becomes the kernels that one runtime launches.

`lower(graph, rule_set, dtype)` is the engine; `rule_set(name)` gives a runtime's rules, which are data in one file each.
"""

from costmodel.lowering._engine import lower
from costmodel.lowering._rules import RuleSet, rule_set, rule_sets

__all__ = ["RuleSet", "lower", "rule_set", "rule_sets"]
