"""Weights in another format than the runtime's own: narrower, or pruned; what a model file and the weight traffic become.

A format is written as parts joined by commas: ``fp16``, ``bf16``, ``int8``, ``fp32``, ``6bit`` (any whole number of bits),
``pruned=0.7`` (that share of the weights removed, at random places). A kept weight carries the distance to the one before
it in `INDEX_BITS` bits, and a distance too long for them takes filler entries, as in Deep Compression (arXiv 1510.00149,
section 2 and figure 2; 4 bits for most layers); entropy coding is left out. Where that would be larger, all are stored.

Integers and codes of a few bits are for matrices, filters and tables of embeddings; biases, normalisations and constants
stay as the runtime has them: in floating point under dynamic quantisation (torch 2.13, torch.ao.nn.quantized.dynamic.Linear:
"bias: the non-learnable floating point bias"), in 32 bits under int8 (TensorFlow Lite 8-bit quantization specification,
CONV_2D: bias int32). So it is with pruning, which removes connections. A floating-point format is for all of them, as
torch's ``half()`` converts all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction

from costmodel.errors import UsageError
from costmodel.kernel import Program, Weights
from costmodel.tensor import DType

#: Bits of the distance between two kept weights.
INDEX_BITS = 4
_FLOATING_BITS = {str(dtype): 8 * dtype.itemsize for dtype in DType if dtype.is_floating}
_NAMED_BITS = {**_FLOATING_BITS, str(DType.INT8): 8}


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightFormat:
    """Bits of a stored weight (None: the runtime's own), the share of the weights that is kept, and whether those bits are a
    floating-point number, which biases are stored in as well.
    """

    bits: int | None = None
    kept: Fraction = Fraction(1)
    is_floating: bool = False

    def scale(self, own_bits: int) -> Fraction:
        """Stored bits over those of the runtime's own format, of matrices, filters and tables."""
        bits = self.bits or own_bits
        if self.kept == 1:
            return Fraction(bits, own_bits)
        zeros = Fraction((1 - self.kept) ** 2**INDEX_BITS)  # the share of distances that need another entry, geometric as distances are
        entries = self.kept / (1 - zeros)
        return min(entries * (bits + INDEX_BITS), Fraction(bits)) / own_bits

    def vector_scale(self, own_bits: int) -> Fraction:
        """The same of biases, normalisations and constants."""
        return Fraction(self.bits, own_bits) if self.bits is not None and self.is_floating else Fraction(1)


def parse_weight_format(text: str) -> WeightFormat:
    """The format that `text` names.

    Raises
    ------
    UsageError
        If a part is none of the forms, or stands twice.

    Examples
    --------
    >>> stored = parse_weight_format("6bit,pruned=0.66")
    >>> round(float(stored.scale(32) * 32), 2), int(stored.vector_scale(32) * 32)  # bits of a weight, and of a bias
    (3.4, 32)
    """
    bits: int | None = None
    kept: Fraction | None = None
    floating = False
    for part in text.split(","):
        found = re.fullmatch(r"(\d+)bit", part.strip())
        share = re.fullmatch(r"pruned=(0?\.\d+|0)", part.strip())
        if share and kept is None:
            kept = 1 - Fraction(share[1])
        elif (found or part.strip() in _NAMED_BITS) and bits is None:
            bits = int(found[1]) if found else _NAMED_BITS[part.strip()]
            floating = part.strip() in _FLOATING_BITS
            if not 1 <= bits <= 32:
                raise UsageError(f"--weights {text!r}: a weight has 1 to 32 bits, not {bits}")
        else:
            raise UsageError(f"--weights {text!r}: {part.strip()!r} is not {', '.join(_NAMED_BITS)}, <n>bit or pruned=<share below 1>, each at most once")
    return WeightFormat(bits=bits, kept=Fraction(1) if kept is None else kept, is_floating=floating)


def compress(program: Program, weights: WeightFormat) -> Program:
    """The same program with its weights in that format: smaller weight traffic and file, the same arithmetic.

    Raises
    ------
    UsageError
        If the format is wider than what the program computes in.
    """
    own_bits = 8 * program.dtype.itemsize
    if weights.bits is not None and weights.bits > own_bits:
        raise UsageError(f"--weights: {weights.bits} bits are wider than {program.dtype}, which the network runs in; choose --dtype as well")
    scales = weights.scale(own_bits), weights.vector_scale(own_bits)
    stored, stored_vectors = _narrowed(program.stored_weight_bytes, program.stored_vector_bytes, scales)
    kernels = []
    for kernel in program.kernels:
        nbytes, vectors = _narrowed(kernel.weight_bytes, kernel.vector_bytes, scales)
        kernels.append(kernel._replace(weight_bytes=nbytes, vector_bytes=vectors))
    listed = _compressed(program.weights, scales)
    return replace(program, kernels=tuple(kernels), stored_weight_bytes=stored, stored_vector_bytes=stored_vectors, weights=listed)


def _compressed(weights: tuple[Weights, ...], scales: tuple[Fraction, Fraction]) -> tuple[Weights, ...]:
    """Each of the stored parameters, narrowed so that they add up to the narrowed whole; readers read the same share as before."""
    found = []
    nbytes = vectors = before = vectors_before = 0
    for each in weights:
        nbytes, vectors = nbytes + each.nbytes, vectors + each.vector_bytes
        narrowed, narrowed_vectors = _narrowed(nbytes, vectors, scales)
        own = narrowed - before
        readers = tuple([(kernel, -(-read * own // each.nbytes)) for kernel, read in each.readers])
        found.append(Weights(each.name, own, narrowed_vectors - vectors_before, readers))
        before, vectors_before = narrowed, narrowed_vectors
    return tuple(found)


def _narrowed(weight_bytes: int, vector_bytes: int, scales: tuple[Fraction, Fraction]) -> tuple[int, int]:
    """Both numbers of bytes, of matrices and vectors together and of vectors alone, each part by its scale."""
    vectors = _scaled(vector_bytes, scales[1])
    return _scaled(weight_bytes - vector_bytes, scales[0]) + vectors, vectors


def _scaled(nbytes: int, scale: Fraction) -> int:
    """Whole bytes, rounded up."""
    return -(-nbytes * scale.numerator // scale.denominator)
