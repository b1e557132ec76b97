"""What exporters write out in several nodes, as the one node of newer operator sets that it is.

1. Sums, products and functions of elements: SiLU, hard swish, GELU.
2. Normalisations: layer, root mean square, group.
3. Products with weights and a bias as one layer.
4. Attention as torch's exporters write it, which give half of the scale to the queries and half to the keys. An attention
   that the network's author wrote out, with one scale, stays as it is: it runs as it was written.
5. Rolled positions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from costmodel.importers.onnx._evaluate import Evaluated, Shape
from costmodel.importers.onnx._file import Step
from costmodel.importers.onnx._match import Found, Made, Net, Pattern, alternatives


def fused(found: Evaluated, outputs: tuple[str, ...], learned: frozenset[str]) -> Evaluated:
    """`found` with every pattern replaced."""
    shapes = dict(found.shapes)
    net = Net(_selected(tidied(found, outputs), outputs), outputs, shapes, found.values, learned)
    for pattern in PATTERNS:
        net.apply(pattern)
    return replace(found, shapes=shapes, steps=_joined_cuts(_used(net.left(), outputs), shapes, found.values))


# -- what does nothing ------------------------------------------------------------------------------------------------

#: Operators that pass their first input on where its shape and type are those of the output.
_IDLE = frozenset(
    {"Identity", "Dropout", "Max", "Min", "Sum", "Mean", "Concat", "Expand", "Cast", "CastLike", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Slice"}
)


def tidied(found: Evaluated, outputs: tuple[str, ...]) -> tuple[Step, ...]:
    """The steps without those that do nothing and those that nobody reads."""
    names: dict[str, str] = {}
    kept = []
    for step in found.steps:
        inputs = tuple(names.get(name, name) for name in step.inputs)
        step = replace(step, inputs=inputs)
        if _does_nothing(step, found.shapes) and step.outputs[0] not in outputs and not any(step.outputs[1:]):
            names[step.outputs[0]] = inputs[0]
        else:
            kept.append(step)
    return _used(tuple(kept), outputs)


def _does_nothing(step: Step, shapes: Mapping[str, Shape]) -> bool:
    if not step.inputs or not step.outputs or not step.inputs[0] or not step.outputs[0]:
        return False
    if step.operator == "Transpose":
        order = step.attributes.get("perm", (1, 0))
        return tuple(order) == tuple(range(len(order)))
    if step.operator not in _IDLE or (step.operator in ("Max", "Min", "Sum", "Mean", "Concat") and len(step.inputs) > 1):
        return False
    before, after = shapes[step.inputs[0]], shapes[step.outputs[0]]
    return before.sizes is not None and before == after


def _used(steps: tuple[Step, ...], outputs: tuple[str, ...]) -> tuple[Step, ...]:
    """The steps whose outputs are read in the end."""
    wanted = set(outputs)
    kept = []
    for step in reversed(steps):
        if wanted & set(step.outputs):
            kept.append(step)
            wanted |= set(step.inputs)
    return tuple(reversed(kept))


def _selected(steps: tuple[Step, ...], outputs: tuple[str, ...]) -> tuple[Step, ...]:
    """A cut into parts of one element, each of which loses that dimension, as selections."""
    readers: dict[str, list[Step]] = {}
    for step in steps:
        for name in step.inputs:
            readers.setdefault(name, []).append(step)
    replaced: dict[Step, list[Step]] = {}
    for step in steps:
        after = [readers.get(name, []) for name in step.outputs]
        if step.operator == "Split" and all(len(found) == 1 and found[0].operator == "Squeeze" for found in after) and not set(step.outputs) & set(outputs):
            replaced[step] = []
            for place, (squeeze,) in enumerate(after):
                replaced[squeeze] = [
                    replace(squeeze, operator="Select", inputs=step.inputs[:1], attributes={"axis": step.attributes.get("axis", 0), "index": place})
                ]
    return tuple(made for step in steps for made in replaced.get(step, [step]))


def _joined_cuts(steps: tuple[Step, ...], shapes: Mapping[str, Shape], values: Mapping[str, Any]) -> tuple[Step, ...]:
    """Slices that together are all of a tensor, by which torch's older exporter writes chunks, as one split."""
    cuts: dict[tuple[str, int], list[tuple[int, int, Step]]] = {}
    for step in steps:
        bounds = [values.get(name) for name in step.inputs[1:]] if step.operator == "Slice" else []
        if len(bounds) in (3, 4) and all(bound is not None and bound.size == 1 for bound in bounds):
            start, stop, axis, stride = (*(int(bound.reshape(-1)[0]) for bound in bounds), 1)[:4]  # type: ignore[union-attr]  # none is None
            sizes = shapes[step.inputs[0]].sizes or ()
            if -len(sizes) <= axis < len(sizes) and stride == 1:
                first, last, _ = slice(start, stop).indices(sizes[axis])
                cuts.setdefault((step.inputs[0], axis % len(sizes)), []).append((first, last, step))
    replaced: dict[Step, Step | None] = {}
    for (name, axis), parts in cuts.items():
        parts.sort(key=lambda part: part[:2])
        borders = [0, *(last for _, last, _ in parts)]
        if len(parts) > 1 and borders[-1] == (shapes[name].sizes or ())[axis] and [first for first, _, _ in parts] == borders[:-1]:
            outputs = tuple(step.outputs[0] for _, _, step in parts)
            first_step = next(step for step in steps if any(step is part for _, _, part in parts))
            replaced |= dict.fromkeys((step for _, _, step in parts), None)
            replaced[first_step] = replace(first_step, operator="Split", inputs=(name,), outputs=outputs, attributes={"axis": axis})
    return tuple(made for step in steps if (made := replaced.get(step, step)) is not None)


# -- patterns ---------------------------------------------------------------------------------------------------------


def _one(operator: str, *inputs: str, **attributes: Any) -> Any:
    """A maker of one node from the tensors of those names."""

    def make(found: Found) -> Made:
        return operator, [found.bound[name] for name in inputs], attributes

    return make


def _hard_swish(found: Found) -> Made:
    return ("HardSwish", [found.bound["x"]], {}) if found.step("HardSigmoid").attributes.get("beta", 0.5) == 0.5 else None


def _clamp(found: Found) -> Made:
    low, high = found.number("low"), found.number("high")
    return None if low is None or high is None else ("Clip", [found.bound["x"]], {"min": low, "max": high})


_RELU6 = ("Clip(Add(x, 3), 0, 6)", "Clip(Add(x, 3), min=0.0, max=6.0)", "Min(Relu(Add(x, 3)), 6)")
_ERF = ("Erf(Div(x, 1.4142135))", "Erf(Mul(x, 0.70710678))")
_CUBE = ("Pow(x, 3)", "Mul(x, Mul(x, x))")
_TANH = ("Tanh(Mul(Add(x, Mul({cube}, 0.044715)), 0.79788456))", "Tanh(Mul(Mul(x, 0.79788456), Add(Mul(Mul(x, x), 0.044715), 1)))")
_HALVES = ("Mul(Mul(x, Add({f}, 1)), 0.5)", "Mul(x, Mul(Add({f}, 1), 0.5))", "Mul(Mul(x, 0.5), Add({f}, 1))", "Mul(x, Add(Mul({f}, 0.5), 0.5))")
_POINTWISE = [
    *(Pattern(form, _one("HardSigmoid", "x", alpha=1 / 6, beta=0.5)) for form in alternatives("Div({clip}, 6)", clip=_RELU6)),
    *(Pattern(form, _one("HardSigmoid", "x", alpha=1 / 6, beta=0.5)) for form in alternatives("Mul({clip}, 0.16666667)", clip=_RELU6)),
    Pattern("Mul(x, HardSigmoid(x, alpha=0.16666667))", _hard_swish),
    *(
        Pattern(form, _one("HardSwish", "x"))
        for form in alternatives("{outer}", outer=("Div(Mul(x, {clip}), 6)", "Mul(Mul(x, {clip}), 0.16666667)"), clip=_RELU6)
    ),
    Pattern("Mul(x, Sigmoid(x))", _one("Swish", "x")),
    *(Pattern(form, _one("Gelu", "x")) for form in alternatives("{half}", half=_HALVES, f=_ERF)),
    *(Pattern(form, _one("Gelu", "x", approximate="tanh")) for form in alternatives("{half}", half=_HALVES, f=_TANH, cube=_CUBE)),
    Pattern("Mul(x, Tanh(Softplus(x)))", _one("Mish", "x")),
    Pattern("Min(Max(x, low), high)", _clamp),
]


def _layer_norm(found: Found) -> Made:
    """The last dimensions normalised; several means must be over the same ones."""
    rank, epsilon = len(found.shape("x")), found.number("eps")
    axes = {_axes(step, found, rank) for step in found.steps if step.operator == "ReduceMean"}
    (over,) = axes if len(axes) == 1 else ((),)
    if not over or over != tuple(range(rank - len(over), rank)) or epsilon is None:
        return None
    root = "LayerNormalization" if any(step.operator == "Sub" for step in found.steps) else "RMSNormalization"
    normalised = found.shape("x")[rank - len(over) :]
    affine = [found.bound[name] for name in ("w", "b") if name in found.bound]
    if any(name not in found.net.learned or found.net.shapes[name].sizes != normalised for name in affine):
        return None
    return root, [found.bound["x"], *affine], {"axis": rank - len(over), "epsilon": epsilon}


def _axes(step: Step, found: Found, rank: int) -> tuple[int, ...]:
    """The dimensions of a reduction, all counted from the front; empty where they are not known or dropped."""
    given = step.attributes.get("axes")
    if given is None and len(step.inputs) > 1:
        value = found.net.values.get(step.inputs[1])
        given = None if value is None else tuple(value.reshape(-1).tolist())
    return tuple(sorted(axis % rank for axis in given)) if given and rank and step.attributes.get("keepdims", 1) else ()


_SQUARE = ("Pow({d}, 2)", "Mul({d}, {d})")
_OVER_ROOT = ("Div({d}, Sqrt(Add(ReduceMean({square}), eps)))", "Mul({d}, Reciprocal(Sqrt(Add(ReduceMean({square}), eps))))")
_AFFINE = ("Add(Mul({bare}, w), b)", "{bare}")
_MEANS = [
    *(Pattern(form, _layer_norm) for form in alternatives("{affine}", affine=_AFFINE, bare=_OVER_ROOT, square=_SQUARE, d=("Sub(x, ReduceMean(x))",))),
    *(Pattern(form, _layer_norm) for form in alternatives("{affine}", affine=("Mul({bare}, w)", "{bare}"), bare=_OVER_ROOT, square=_SQUARE, d=("x",))),
]


def _group_norm(found: Found) -> Made:
    """Groups of channels as the channels of an instance normalisation without scale and shift of its own."""
    inner = found.step("InstanceNormalization")
    grouped, x, scale, shift = found.net.shapes[inner.inputs[0]].sizes or (), found.shape("x"), found.value("one"), found.value("zero")
    if len(grouped) != 3 or len(x) < 3 or scale is None or shift is None or (scale != 1).any() or (shift != 0).any() or x[1] % max(grouped[1], 1):
        return None
    affine = [_stored_below(found.net, found.bound[name]) for name in ("w", "b") if name in found.bound]
    if any(name not in found.net.learned or math.prod(found.net.shapes[name].sizes or ()) != x[1] for name in affine):
        return None
    attributes = {"num_groups": grouped[1], "epsilon": inner.attributes.get("epsilon", 1e-5)}
    return "GroupNormalization", [found.bound["x"], *affine], attributes


_IN_GROUPS = "Reshape(InstanceNormalization(Reshape(x, _), one, zero), _)"
_GROUPS = [Pattern(form, _group_norm) for form in alternatives("{affine}", affine=_AFFINE, bare=(_IN_GROUPS,))]


# -- products ---------------------------------------------------------------------------------------------------------


def _linear(found: Found) -> Made:
    """A product with stored weights, and a stored bias that has an element for each output."""
    learned = found.net.learned
    if len(found.shape("w")) != 2 or found.bound["b"] not in learned or _stored_below(found.net, found.bound["w"]) not in learned:
        return None
    return ("Gemm", [found.bound[name] for name in ("x", "w", "b")], {}) if found.shape("b") == found.shape("w")[1:] else None


def _stored_below(net: Net, name: str) -> str:
    """The tensor that transpositions and the like lead to."""
    while (step := net.maker(name)) is not None and step.operator in ("Transpose", "Reshape", "Squeeze", "Unsqueeze", "Identity"):
        name = step.inputs[0]
    return name


def _turned(found: Found) -> Made:
    """The exchange of the last two of four dimensions, for which torch's newer exporter joins the first two."""
    before, after = found.shape("x"), found.net.shapes[found.steps[0].outputs[0]].sizes
    if len(before) != 4 or after != (*before[:2], before[3], before[2]):
        return None
    return "Transpose", [found.bound["x"]], {"perm": (0, 1, 3, 2)}


def _attention(found: Found) -> Made:
    """softmax((s q) (t k)) v, perhaps with a mask, where k has its dimensions exchanged already: a transposition undoes it.

    Where k is a transposition itself, that one loses the exchange instead, or goes.
    """
    first, second, rank = found.number("s"), found.number("t"), len(found.shape("q"))
    if first is None or second is None or rank < 3 or found.step("Softmax").attributes.get("axis", -1) not in (-1, rank - 1):
        return None
    exchange = (*range(rank - 2), rank - 1, rank - 2)
    key, turn = found.bound["k"], next((step for step in found.steps if step.operator == "Transpose"), None)
    if turn is None:
        product = next(step for step in found.steps[1:] if step.operator == "MatMul")
        scaled = next(step for step in found.steps if step.outputs[0] == product.inputs[1])
        key = found.keep(scaled, "Transpose", [key], {"perm": exchange}, tuple(found.shape("k")[place] for place in exchange))
    else:
        order = tuple(turn.attributes.get("perm", ()))
        if len(order) != rank:
            return None
        order = tuple(order[place] for place in exchange)
        if order != tuple(range(rank)):
            key = found.keep(turn, "Transpose", [key], {"perm": order}, tuple(found.shape("k")[place] for place in order))
    mask = [found.bound["mask"]] if "mask" in found.bound else []
    return "Attention", [found.bound["q"], key, found.bound["v"], *mask], {"scale": first * second}


_SCORES = ("MatMul(Mul(q, s), Mul(Transpose(k), t))", "MatMul(Mul(q, s), Mul(k, t))")
_PRODUCTS = [
    Pattern("Add(MatMul(x, w), b)", _linear),
    Pattern("Reshape(Transpose(Reshape(x, _), perm=(0, 2, 1)), _)", _turned),
    *(Pattern(form, _attention) for form in alternatives("MatMul(Softmax({masked}), v)", masked=("{scores}", "Add({scores}, mask)"), scores=_SCORES)),
]


# -- positions --------------------------------------------------------------------------------------------------------


def _rolled(found: Found) -> Made:
    """The end of a dimension put before its beginning."""
    step, x = found.step("Concat"), found.shape("x")
    bounds = [found.number(name) for name in ("start", "stop", "axis", "zero", "end", "again")]
    if len(step.inputs) != 2 or not x or any(bound is None for bound in bounds):
        return None
    start, stop, axis, zero, end, again = (int(bound) for bound in bounds if bound is not None)
    axis, again, joined = (place % len(x) for place in (axis, again, step.attributes.get("axis", 0)))
    size = x[axis]
    if not axis == again == joined or zero != 0 or stop < size or start % size != end % size or any(len(part.inputs) > 4 for part in found.steps[1:]):
        return None
    return "Roll", [found.bound["x"]], {"shifts": (-(start % size),), "dims": (axis,)}


def _rolled_twice(found: Found) -> Made:
    outer, inner = found.steps
    shifts, dims = (inner.attributes[key] + outer.attributes[key] for key in ("shifts", "dims"))
    return ("Roll", [found.bound["x"]], {"shifts": shifts, "dims": dims}) if len(dims) == 2 and len(set(dims)) == 2 else None


def _looked_up(found: Found) -> Made:
    """A lookup of rows whose indices have a last dimension of 1 of their own."""
    index = found.net.shapes[found.step("GatherND").inputs[1]].sizes or ()
    return ("Gather", [found.bound["x"], found.bound["i"]], {"axis": 0}) if index == (*found.shape("i"), 1) else None


def _selected_one(found: Found) -> Made:
    """One element of a dimension, which goes."""
    x, cut = found.shape("x"), found.net.shapes[found.step("Slice").outputs[0]].sizes or ()
    axis, start = found.number("axis"), found.number("start")
    if axis is None or start is None or not x or len(found.step("Slice").inputs) > 4:
        return None
    place = int(axis) % len(x)
    squeezed = found.net.shapes[found.steps[0].outputs[0]].sizes
    if cut[place] != 1 or squeezed != (*x[:place], *x[place + 1 :]):
        return None
    return "Select", [found.bound["x"]], {"axis": place, "index": int(start) % x[place]}


_POSITIONS = [
    Pattern("Squeeze(Slice(x, start, stop, axis))", _selected_one),
    Pattern("Concat(Slice(x, start, stop, axis), Slice(x, zero, end, again))", _rolled),
    Pattern("Roll(Roll(x))", _rolled_twice),
    Pattern("GatherND(x, Unsqueeze(i, _), batch_dims=0)", _looked_up),
]

#: In the order in which they are looked for: what is part of another comes first.
PATTERNS = (*_POINTWISE, *_MEANS, *_GROUPS, *_PRODUCTS, *_POSITIONS)
