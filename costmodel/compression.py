"""Weights in another format than the runtime's own: narrower, or pruned; what a model file and the weight traffic become.

A format is written as parts joined by commas: ``fp16``, ``bf16``, ``int8``, ``fp32``, ``6bit`` (any whole number of bits),
``pruned=0.7`` (that share of the weights removed, at random places). A kept weight carries the distance to the one before
it in `INDEX_BITS` bits, and a distance too long for them takes filler entries, as in Deep Compression (arXiv 1510.00149,
section 2 and figure 2; 4 bits for most layers); entropy coding is left out. Where that would be larger, all are stored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from costmodel.errors import UsageError
from costmodel.kernel import Program

#: Bits of the distance between two kept weights.
INDEX_BITS = 4
_NAMED_BITS = {"fp32": 32, "fp16": 16, "bf16": 16, "int8": 8}


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightFormat:
    """Bits of a stored weight (None: the runtime's own), and the share of the weights that is kept."""

    bits: int | None = None
    kept: Fraction = Fraction(1)

    def scale(self, own_bits: int) -> Fraction:
        """Stored bits over those of the runtime's own format."""
        bits = self.bits or own_bits
        if self.kept == 1:
            return Fraction(bits, own_bits)
        zeros = Fraction((1 - self.kept) ** 2**INDEX_BITS)  # the share of distances that need another entry, geometric as distances are
        entries = self.kept / (1 - zeros)
        return min(entries * (bits + INDEX_BITS), Fraction(bits)) / own_bits


def parse_weight_format(text: str) -> WeightFormat:
    """The format that `text` names.

    Raises
    ------
    UsageError
        If a part is none of the forms, or stands twice.

    Examples
    --------
    >>> round(float(parse_weight_format("6bit,pruned=0.66").scale(32)) * 1_248_424 * 4)  # SqueezeNet's bytes
    531269
    """
    bits: int | None = None
    kept: Fraction | None = None
    for part in text.split(","):
        found = re.fullmatch(r"(\d+)bit", part.strip())
        share = re.fullmatch(r"pruned=(0?\.\d+|0)", part.strip())
        if share and kept is None:
            kept = 1 - Fraction(share[1])
        elif (found or part.strip() in _NAMED_BITS) and bits is None:
            bits = int(found[1]) if found else _NAMED_BITS[part.strip()]
            if not 1 <= bits <= 32:
                raise UsageError(f"--weights {text!r}: a weight has 1 to 32 bits, not {bits}")
        else:
            raise UsageError(f"--weights {text!r}: {part.strip()!r} is not fp32, fp16, bf16, int8, <n>bit or pruned=<share below 1>, each at most once")
    return WeightFormat(bits=bits, kept=Fraction(1) if kept is None else kept)


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
    scale = weights.scale(own_bits)
    return Program(
        name=program.name,
        rule_set=program.rule_set,
        dtype=program.dtype,
        batch=program.batch,
        kernels=tuple(kernel._replace(weight_bytes=_scaled(kernel.weight_bytes, scale)) for kernel in program.kernels),
        buffers=program.buffers,
        input_bytes=program.input_bytes,
        output_bytes=program.output_bytes,
        stored_weight_bytes=_scaled(program.stored_weight_bytes, scale),
    )


def _scaled(nbytes: int, scale: Fraction) -> int:
    """Whole bytes, rounded up."""
    return -(-nbytes * scale.numerator // scale.denominator)
