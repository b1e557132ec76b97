"""Damaged files by the thousand: `python -m tests.importers.tflite.fuzz 5000` reads that many mutants of the fixtures.

A mutant is a fixture with a few bytes flipped, a run overwritten by a telling number, an end cut off, or the middle of
another fixture spliced in. Reading one must give a graph or an `InvalidFileError`, soon and with little memory.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from costmodel.errors import InvalidFileError
from costmodel.importers.tflite import read_tflite

FIXTURES = Path(__file__).parent / "fixtures"

#: 32-bit patterns at which counts and offsets break: extremes, small negatives, sizes beyond any file.
TELLING = (0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFFFF, 0xFFFFFFFE, 0x40000000, 0x00FFFFFF)


def mutants(count: int, seed: int) -> Iterator[bytes]:
    """`count` damaged files, the same for the same seed."""
    random_ = random.Random(seed)
    whole = [path.read_bytes() for path in sorted(FIXTURES.glob("*.tflite"))]
    for _ in range(count):
        yield mutant(random_, random_.choice(whole), random_.choice(whole))


def mutant(random_: random.Random, content: bytes, other: bytes) -> bytes:
    """`content` with one to four kinds of damage."""
    damaged = bytearray(content)
    for _ in range(random_.randint(1, 4)):
        kind = random_.random()
        place = random_.randrange(max(1, len(damaged)))
        if kind < 0.35:
            for _ in range(random_.randint(1, 8)):
                place = random_.randrange(max(1, len(damaged)))
                damaged[place : place + 1] = bytes([random_.randrange(256)])
        elif kind < 0.75:
            place -= place % 4
            damaged[place : place + 4] = random_.choice(TELLING).to_bytes(4, "little")
        elif kind < 0.85:
            del damaged[place:]
        else:
            start = random_.randrange(len(other))
            piece = other[start : start + random_.randint(1, 400)]
            damaged[place : place + len(piece)] = piece
    return bytes(damaged)


def outcome(path: Path) -> str:
    """``read``, or ``refused`` with a message that names the file; anything else is raised."""
    refusal: InvalidFileError | None = None
    try:
        read_tflite(path)
    except InvalidFileError as error:
        refusal = error
    if refusal is None:
        return "read"
    assert str(refusal).startswith(f"{path}: "), refusal
    assert refusal.exit_code == 4
    return "refused"


def peak_mb() -> float:
    """The most memory that this process has held since it began, in MB (10^6 bytes); Linux tells it."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise OSError("/proc/self/status has no VmHWM")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    outcomes: Counter[str] = Counter()
    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mutant.tflite"
        for number, content in enumerate(mutants(count, seed)):
            path.write_bytes(content)
            start = time.perf_counter()
            try:
                outcomes[outcome(path)] += 1
            except Exception:
                sys.stdout.write(f"mutant {number} of seed {seed}\n")
                raise
            slowest = max(slowest, time.perf_counter() - start)
    sys.stdout.write(f"{count} mutants, seed {seed}: {dict(outcomes)}; slowest {slowest:.2f} s; most memory {peak_mb():.0f} MB\n")


if __name__ == "__main__":
    main()
