"""Which stored tensors are learned. The format does not say: roles in operators do, then marks of the exporter, then names.

1. A tensor that an operator takes for a statistic, a limit, a scale of quantisation and the like is a constant.
2. torch's exporter since 2.5 marks parameters and buffers; its mark decides otherwise.
3. A tensor that an operator takes for its weights is a parameter, through reshapes, transpositions and changes of type too.
4. Other real tensors (added, multiplied) are parameters unless their name is one that exporters make up for constants, or the
   file marks its parameters; a vector of some length is one even then: a scale or a shift for each channel.
"""

from __future__ import annotations

import re

from costmodel.importers.onnx._file import FLOATING, File, Step, Stored

#: Operator -> what its inputs are, in order: p learned, n learned unless it is all ones or all zeros, c constant, a neither;
#: a tensor that is dequantised is d besides.
ROLES = {
    **dict.fromkeys(("Conv", "ConvTranspose", "DeformConv"), "app"),
    **dict.fromkeys(("InstanceNormalization", "LayerNormalization", "GroupNormalization"), "ann"),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), "apppcccp"),
    "BatchNormalization": "anncc",
    "Gemm": "ppp",
    "MatMul": "pp",
    "PRelu": "ap",
    "RMSNormalization": "an",
    "Gather": "pc",
    "Resize": "accc",
    "Upsample": "ac",
    "Clip": "acc",
    "Pad": "accc",
    "Dropout": "acc",
    "QuantizeLinear": "pcc",
    "DequantizeLinear": "pcc",
    "ConvInteger": "apcc",
    "MatMulInteger": "ppcc",
    "QLinearConv": "accpccccp",
    "QLinearMatMul": "accpcccc",
    "com.microsoft::QGemm": "accpccpcc",
    **dict.fromkeys(("com.microsoft::QLinearAdd", "com.microsoft::QLinearMul"), "dccdcccc"),
}
#: A vector of at least so many elements that is added or multiplied has one for each channel; means of colours have 3.
LEAST_VECTOR = 8
#: Element types of quantised weights and biases.
QUANTISED = frozenset({2, 3, 6, 17, 18, 19, 20, 21, 22})
#: The mark of tensors that nodes hold.
_HELD = "Constant"
#: Through these a tensor stays what it is.
_THROUGH = frozenset({"Identity", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Cast", "CastLike", "QuantizeLinear", "DequantizeLinear"})
#: Names that exporters make up: of torch's older exporter, of its newer one, of TensorFlow's converter, of onnxruntime.
_MADE_UP = re.compile(
    r"onnx::.*|_?val_\d+.*|\d+|.*_output_\d+|/.*|(new_)?const(ant)?[_.:\d].*|const_fold.*|lifted_tensor.*|scalar_tensor.*|ortshared.*", re.IGNORECASE
)


def learned(file: File) -> frozenset[str]:
    """Names of the stored tensors that are parameters."""
    roles = _roles(file)
    marked = any(tensor.mark for tensor in file.stored.values())
    tensors = [*file.stored.values(), *(_held(step) for step in file.steps if step.operator == "Constant")]
    return frozenset(tensor.name for tensor in tensors if tensor is not None and _is_learned(tensor, roles.get(tensor.name, set()), marked))


def _held(step: Step) -> Stored | None:
    """The tensor of a Constant node that is too large for a mere number."""
    value = step.attributes.get("value")
    if not isinstance(value, Stored) or (value.value is not None and not value.uniform) or not step.outputs:
        return None
    return Stored(step.outputs[0], value.kind, value.shape, uniform=value.uniform, mark=_HELD)


def _roles(file: File) -> dict[str, set[str]]:
    """What every tensor is taken for, by those who read it, directly or through what leaves it as it is."""
    roles: dict[str, set[str]] = {}
    for step in reversed(file.steps):
        own = ROLES.get(step.operator, "")
        for position, name in enumerate(step.inputs):
            role = own[position] if position < len(own) else "a"
            found = roles.setdefault(name, set())
            if step.operator in _THROUGH and position == 0:
                found |= roles.get(step.outputs[0], set()) if step.outputs else set()
                if step.operator == "DequantizeLinear":
                    found.add("d")
            else:
                found.add(role)
    return roles


def _is_learned(tensor: Stored, roles: set[str], marked: bool) -> bool:
    """`marked` says whether the file marks its parameters."""
    if roles == {"c"} or (not tensor.shape and not tensor.mark):
        return False
    if tensor.kind not in FLOATING and (tensor.kind not in QUANTISED or not roles & {"p", "d"}):
        return False
    held = tensor.mark == _HELD
    if tensor.mark and not held:
        return tensor.mark == "PARAMETER"
    made_up = held or marked or bool(_MADE_UP.fullmatch(tensor.name))
    if "p" in roles:
        return True
    if "n" in roles:
        return not (tensor.uniform and made_up)
    long = max(tensor.shape) >= LEAST_VECTOR and sum(size > 1 for size in tensor.shape) == 1
    return bool(roles - {"c"}) and (not made_up or (long and not held))
