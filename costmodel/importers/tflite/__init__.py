"""TFLite files (extra `tflite`): graphs written without a converter, and files of any origin read back.

| where | what |
|---|---|
| `_schema` | the nouns of a file (`Plan`, tensors, operators) and the part of the schema that is used |
| `_layout`, `_fold`, `_planner`, `_plan` | a graph becomes a plan: axis orders, what folds into what, tensors in the making |
| `_vocabulary`, `_emit_*` | the one table from operator classes to how they are written, and how that is |
| `_weights`, `_quantise`, `_scales`, `_write` | constants, the plan in 8 bits, its scales, bytes |
| `_parse`, `_patterns`, `_reader`, `_handlers`, `_read_*` | bytes become a plan, several operators one, and the plan a graph |
| `_metadata` | what folding removes, kept in the file and verified against it |
"""

from costmodel.importers.tflite._export import write_tflite
from costmodel.importers.tflite._import import read_tflite

__all__ = ["read_tflite", "write_tflite"]
