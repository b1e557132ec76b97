"""Families of architectures: networks that are held out together, because measuring one says much about the others.

Siblings count as one family, however many files or papers they have: every residual network of He's line, every network of
inverted residuals without squeeze-and-excitation, and so on. A split by row would leave a near copy of each test network
among the training rows.
"""

from __future__ import annotations

import re

#: Beginning of a network's name, punctuation aside -> its family. The longest that fits holds.
_FAMILIES = {
    "alexnet": "alexnet",
    "bninception": "inception",
    "convnext": "convnext",
    "deit": "vit",
    "densenet": "densenet",
    "dla": "dla",
    "efficientnet": "efficientnet",
    "fbnet": "mobilenet-v2",
    "fdmobilenet": "mobilenet-v1",
    "ghostnet": "ghostnet",
    "googlenet": "inception",
    "hardnet": "hardnet",
    "inception": "inception",
    "inceptionresnet": "inception",
    "mnasnet": "mobilenet-v2",
    "mobilenet": "mobilenet-v1",
    "mobilenetv1": "mobilenet-v1",
    "mobilenetv2": "mobilenet-v2",
    "mobilenetv3": "mobilenet-v3",
    "mobilevit": "mobilevit",
    "nasnet": "nasnet",
    "pnasnet": "nasnet",
    "preresnet": "resnet",
    "proxylessnas": "mobilenet-v2",
    "regnet": "regnet",
    "resnest": "resnet",
    "resnet": "resnet",
    "resnext": "resnet",
    "senet": "resnet",
    "seresnet": "resnet",
    "seresnext": "resnet",
    "shufflenet": "shufflenet",
    "squeezenet": "squeezenet",
    "squeezeresnet": "squeezenet",
    "swin": "swin",
    "vgg": "vgg",
    "vit": "vit",
    "vovnet": "vovnet",
    "wideresnet": "resnet",
    "xception": "inception",
}


def family_of(network: str) -> str:
    """The family of a network's name, or of a file's.

    Examples
    --------
    >>> family_of("se-resnet-50@288"), family_of("graphs/mobilenetv2_w3d4.json"), family_of("coatnet-0"), family_of("deit-ti@224")
    ('resnet', 'mobilenet-v2', 'coatnet', 'vit')
    """
    stem = re.sub(r"\.[a-z0-9]+$", "", network.partition("@")[0].rpartition("/")[2]).lower()
    plain = re.sub(r"[^a-z0-9]", "", stem)
    for length in range(len(plain), 0, -1):
        if plain[:length] in _FAMILIES:
            return _FAMILIES[plain[:length]]
    letters = re.match(r"[a-z]+", stem)
    return letters[0] if letters else stem
