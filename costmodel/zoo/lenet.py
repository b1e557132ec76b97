"""LeNet-5 (LeCun, Bottou, Bengio, Haffner, Proc. IEEE 86(11), 1998) and three networks that share its name.

Trap: "LeNet-5" is used for different networks.

- `lenet-5`: the paper's. C3 sees only some of the maps of S2 (Table I), the averages S2 and S4 have a learned factor and
  bias for each map, and the output measures distances to fixed codes: 60,000 trainable parameters.
- `lenet-5-dense`: C3 fully connected, plain averages, a linear output; what is mostly taught.
- `lenet-5-caffe`: 20 and 50 maps, max pooling, 500 hidden units, on 28x28; what pruning papers cite with 431K.
- `lenet-300-100`: two hidden layers, on 28x28.

The constants of the paper's 1.7159 tanh(2/3 a) are left out: they fold into the weights before and after.
"""

from __future__ import annotations

from costmodel.graph import Graph, Value
from costmodel.ops.arithmetic import Add, LayerScale
from costmodel.ops.convolution import Conv2d
from costmodel.ops.elementwise import ReLU, Tanh
from costmodel.ops.layout import Concat, Flatten, Split
from costmodel.ops.matmul import Linear, RadialBasis
from costmodel.ops.pooling import AvgPool2d
from costmodel.ops.stored import Parameter
from costmodel.zoo._architecture import Architecture, Options
from costmodel.zoo._net import Net

PAPER = "Proc. IEEE 86(11) 1998 (LeCun et al.)"
#: Table I: the maps of S2 that each of the 16 maps of C3 sees.
C3_INPUTS = (
    (0, 1, 2),
    (1, 2, 3),
    (2, 3, 4),
    (3, 4, 5),
    (0, 4, 5),
    (0, 1, 5),
    (0, 1, 2, 3),
    (1, 2, 3, 4),
    (2, 3, 4, 5),
    (0, 3, 4, 5),
    (0, 1, 4, 5),
    (0, 1, 2, 5),
    (0, 1, 3, 4),
    (1, 2, 4, 5),
    (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)


def lenet_5(options: Options, *, dense: bool = False) -> Graph:
    """LeNet-5; `dense` gives the modern simplification."""
    net = Net(options, padding="symmetric", channels=1)
    x = net.conv_activation(net.image, 6, 5, activation=Tanh(), padding="valid", name="c1")
    x = _average(net, x, "s2", learned=not dense)
    x = net.conv(x, 16, 5, bias=True, padding="valid", name="c3") if dense else _sparse_c3(net, x)
    x = _average(net, net.add(Tanh(), x, name="c3_activation"), "s4", learned=not dense)
    x = net.conv_activation(x, 120, 5, activation=Tanh(), padding="valid", name="c5")
    if options.features_only:
        return net.finish(x)
    x = net.add(Linear(84), net.add(Flatten(), x, name="flatten"), name="f6")
    x = net.add(Tanh(), x, name="f6_activation")
    classes = options.classes or 10
    return net.finish(net.add(Linear(classes) if dense else RadialBasis(classes), x, name="output"))


def _average(net: Net, x: Value, name: str, *, learned: bool) -> Value:
    """2x2 means; the paper's have a factor and a bias for each map, and a nonlinearity."""
    x = net.add(AvgPool2d(), x, name=name)
    if not learned:
        return x
    x = net.add(LayerScale(1), x, name=f"{name}_factor")
    x = net.add(Add(), x, net.add(Parameter((1, x.channels, 1, 1)), name=f"{name}_bias"), name=f"{name}_shift")
    return net.add(Tanh(), x, name=f"{name}_activation")


def _sparse_c3(net: Net, x: Value) -> Value:
    """Sixteen convolutions to one map each."""
    with net.scope("c3"):
        maps = net.add_all(Split((1,) * x.channels), x, name="split")
        outputs = []
        for number, seen in enumerate(C3_INPUTS):
            y = x if len(seen) == x.channels else net.add(Concat(), *(maps[index] for index in seen), name=f"inputs{number}")
            outputs.append(net.add(Conv2d(1, (5, 5), (1, 1), "valid", bias=True), y, name=f"map{number}"))
        return net.add(Concat(), *outputs, name="concat")


def lenet_5_caffe(options: Options) -> Graph:
    """The network of Caffe's MNIST example: no nonlinearity after the convolutions."""
    net = Net(options, padding="symmetric", channels=1)
    x = net.image
    for number, channels in enumerate((20, 50), start=1):
        x = net.conv(x, channels, 5, bias=True, padding="valid", name=f"conv{number}")
        x = net.max_pool(x, 2, 2, padding="valid", name=f"pool{number}")
    if options.features_only:
        return net.finish(x)
    x = net.add(Linear(500), net.add(Flatten(), x, name="flatten"), name="hidden")
    return net.finish(net.add(Linear(options.classes or 10), net.add(ReLU(), x, name="hidden_activation"), name="output"))


def lenet_300_100(options: Options) -> Graph:
    """The two-layer perceptron; its features are the second hidden layer."""
    net = Net(options, padding="symmetric", channels=1)
    x = net.add(Flatten(), net.image, name="flatten")
    for number, width in enumerate((300, 100)):
        x = net.add(Tanh(), net.add(Linear(width), x, name=f"hidden{number}"), name=f"hidden{number}_activation")
    return net.finish(x if options.features_only else net.add(Linear(options.classes or 10), x, name="output"))


ARCHITECTURES = (
    Architecture(name="lenet-5", family="lenet", builder=lenet_5, resolution=32, year=1998, paper=PAPER),
    Architecture(name="lenet-5-dense", family="lenet", builder=lambda options: lenet_5(options, dense=True), resolution=32, year=1998, paper=PAPER),
    Architecture(name="lenet-5-caffe", family="lenet", builder=lenet_5_caffe, resolution=28, year=2014, paper="github.com/BVLC/caffe examples/mnist"),
    Architecture(name="lenet-300-100", family="lenet", builder=lenet_300_100, resolution=28, year=1998, paper=PAPER),
)
