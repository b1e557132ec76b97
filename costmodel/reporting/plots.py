"""What every picture has in common: fonts, colours that the colour-blind tell apart, axes of time, and files that come out the same each time."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from costmodel import durable
from costmodel.errors import UsageError, printable
from costmodel.quantity import significant
from costmodel.reporting.endings import PICTURES
from costmodel.reporting.tables import cropped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


INK, MUTED, FAINT, GRID = "#1a1a1a", "#595959", "#8c8c8c", "#e4e4e4"
#: Okabe and Ito's colours (jfly.uni-koeln.de/color) without yellow and black, which a white page and the text take, then three of Paul Tol's
#: "muted" scheme (personal.sron.nl/~pault); a marker each, so that nothing hangs on colour alone.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#332288", "#E69F00", "#56B4E9", "#882255", "#999933", "#44AA99")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "<", ">")
_STYLE: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that a picture is the same everywhere
    "font.size": 9,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.axisbelow": True,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "text.color": INK,
    "text.parse_math": False,  # a name with dollar signs is a name
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "svg.hashsalt": "costmodel",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
}
#: Time and software in a file's metadata would make each run's file another one.
_METADATA: dict[str, dict[str, Any]] = {".png": {"Software": None}, ".svg": {"Date": None, "Creator": None}, ".pdf": {"CreationDate": None, "Producer": None}}
_DPI = 200
#: Letters of a name in a picture: the longest of the zoo has 31.
_MOST_LETTERS = 36


class Look(NamedTuple):
    """How a family's points look."""

    colour: str
    marker: str


def look(position: int) -> Look:
    """The look of the n-th thing in a legend; after as many as there are colours, markers come in another order."""
    return Look(COLOURS[position % len(COLOURS)], MARKERS[(position + position // len(COLOURS) * 3) % len(MARKERS)])


def require_picture(path: str | Path) -> None:
    """Refuse a file name that says no kind of picture.

    Raises
    ------
    UsageError
        If the ending is none of `PICTURES`.
    """
    if Path(path).suffix.lower() not in PICTURES:
        raise UsageError(f"{path}: a picture ends in {', '.join(PICTURES)}")


def draw(paint: Callable[[Any], Figure], path: str | Path) -> None:
    """Paint a figure in the common style and write it; `paint` gets ``matplotlib.figure.Figure``. No window system is touched.

    Raises
    ------
    UsageError
        If the file's ending says no kind of picture.
    CostModelError
        If the file cannot be written: names it; what stood there is as it was.
    """
    require_picture(path)
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    def made(*args: Any, **keywords: Any) -> Figure:
        figure = Figure(*args, **keywords)
        FigureCanvasAgg(figure)
        return figure

    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # it is drawn as a box: names may hold any character
        matplotlib.rcdefaults()  # whatever the user's own settings are
        matplotlib.rcParams.update(_STYLE)
        figure = paint(made)
        put_figure(figure, path, dpi=_DPI, metadata=_METADATA[Path(path).suffix.lower()])


def put_figure(figure: Figure, path: str | Path, **options: Any) -> None:
    """Write a figure as the picture that the ending of `path` says, whole or not at all; `options` are those of ``savefig``.

    Raises
    ------
    CostModelError
        If the file cannot be written: names it; what stood there is as it was.
    """
    made = io.BytesIO()
    figure.savefig(made, format=Path(path).suffix.lower()[1:], **options)
    with durable.putting(path) as file:
        file.write(made.getvalue())


def label(name: str) -> str:
    """A name as a picture shows it: in one line, its middle left out where it is long, and never hidden for its first character.

    Examples
    --------
    >>> label("efficientnet-b0"), label("_own"), len(label("n" * 500))
    ('efficientnet-b0', ' _own', 36)
    """
    text = cropped(printable(name), _MOST_LETTERS)
    return f" {text}" if text.startswith("_") else text  # matplotlib leaves labels with an underscore out of legends


def title(axes: Axes, name: str, words: str) -> None:
    """A bold line that says what a picture is of, and a quiet one that says under which conditions."""
    axes.set_title(name, pad=20)
    axes.annotate(words, (0, 1), xycoords="axes fraction", xytext=(0, 6), textcoords="offset points", fontsize=8, color=MUTED)


def latency_axis(axes: Axes, values_s: Sequence[float], *, label: str, which: str = "x") -> None:
    """A logarithmic axis of time whose ticks carry their unit: 5 ms, 200 ms, 2 s."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = min(values_s) / 1.25, max(values_s) * 1.25
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    (axes.set_xlim if which == "x" else axes.set_ylim)(low, high)
    log_ticks(axis, low, high, seconds)
    axes.set_xlabel(label) if which == "x" else axes.set_ylabel(label)
    axes.grid(which="major", color=GRID, linewidth=0.7)


def log_ticks(axis: Any, low: float, high: float, text: Callable[[float], str]) -> None:
    """Ticks at 1, 2 and 5 of each decade where they are few, at 1 and 3 or 1 alone where that would crowd the axis."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    decades = math.log10(high / low)
    subs = (1, 2, 5) if decades <= 2.2 else (1, 3) if decades <= 3.5 else (1,)
    ticks = [sub * 10.0**power for power in range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1) for sub in subs]
    axis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: text(value)))
    axis.set_minor_formatter(NullFormatter())


def seconds(value_s: float) -> str:
    """A round duration in its own unit.

    Examples
    --------
    >>> seconds(0.005), seconds(2.0), seconds(2e-5)
    ('5 ms', '2 s', '20 µs')
    """
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value_s >= 0.999 * scale or unit == "µs":
            number = float(significant(value_s / scale, 3))
            return f"{number:g} {unit}"
    raise AssertionError("the last unit takes everything")
