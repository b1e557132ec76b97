"""The Edge TPU compiler: what it supports, up to the first operators that it does not, becomes one delegated operator; the rest runs on the host.

"More than one subgraph is not supported": what needs the result of an unsupported operator falls to the CPU
(google-coral/edgetpu issues 60, 324, 427). Supported operators: Coral's compiler documentation, table of operations.
Host operators follow TFLite's rules.
"""

from __future__ import annotations

from costmodel.lowering._rules import (
    CONTRACTIONS,
    CONVOLUTIONS,
    WINDOW_POOLS,
    Delegate,
    RuleSet,
    rule_set,
)

#: Coral's table of supported operations, as our operators; grouped convolution, GELU, layer norm and attention are not in it.
SUPPORTED = (
    (CONTRACTIONS - {"GroupedConv2d"})
    | WINDOW_POOLS
    | {
        "AdaptiveAvgPool2d",
        "Add",
        "BatchNorm",
        "Concat",
        "Dropout",
        "Flatten",
        "HardSigmoid",
        "HardSwish",
        "Identity",
        "Mean",
        "Multiply",
        "PReLU",
        "SharedPReLU",
        "PadChannels",
        "Pad",
        "Parameter",
        "ReLU",
        "ReLU6",
        "Reshape",
        "Resize",
        "Scale",
        "Sigmoid",
        "SiLU",
        "Slice",
        "Softmax",
        "SpaceToDepth",
        "Split",
        "Subtract",
        "Tanh",
    }
)
assert {"GroupedConv2d"} == CONVOLUTIONS - SUPPORTED

RULE_SETS = (
    RuleSet(
        name="edgetpu",
        rules=(
            *rule_set("tflite").rules,
            Delegate(
                operators=frozenset(SUPPORTED), partition="edgetpu", reason="the compiler maps one subgraph, from the inputs on; a second is not supported"
            ),
        ),
        source="Coral's documentation of the Edge TPU compiler; google-coral/edgetpu issues 60, 324, 427",
    ),
)
