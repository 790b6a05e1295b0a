"""Histograms as inline SVG, drawn by matplotlib. The same numbers give the same bytes.

Matplotlib needs no browser to draw, keeps text as text, and adds nothing that the reader has to download.
It draws in placeholder colours. They are replaced by variables of the style sheet, so that a chart follows
the page's light, dark and print colours.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from spark_jobs.report.lengths import SHOWN_EDGES
from spark_jobs.report.wording import cut, short_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.typing import RcKeyType

_VARIABLES = {
    "ink": "#010203",
    "muted": "#010204",
    "grid": "#010205",
    "kept": "#010206",
    "dropped": "#010207",
    "backdrop": "#010208",
}
_INK, _MUTED, _GRID, _KEPT, _DROPPED, _BACKDROP = _VARIABLES.values()

_STYLE: dict[RcKeyType, Any] = {
    "svg.fonttype": "none",  # text stays text, which can be searched, copied and read aloud
    "font.family": "sans-serif",
    "font.size": 10,
    "text.parse_math": False,  # a subset may be named $x$
    "text.color": _INK,
    "axes.edgecolor": _MUTED,
    "axes.labelcolor": _MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": _GRID,
    "grid.linewidth": 0.8,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "ytick.left": False,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
}


@dataclass(frozen=True)
class Panel:
    """A histogram over SHOWN_EDGES. ``behind`` is drawn as an outline for comparison."""

    title: str
    shares: npt.NDArray[np.float64]
    median: int
    unit: str
    behind: npt.NDArray[np.float64] | None = None


def length_panels(panels: Sequence[Panel], columns: int, label: str) -> Markup:
    """Draw panels next to each other on the same scales. A column covers a tenth of a power of ten."""
    rows = -(-len(panels) // columns)
    with mpl.rc_context(_STYLE):
        layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06)
        figure = Figure(figsize=(10, 2.3 * rows + 0.3), layout=layout)
        axes = figure.subplots(rows, columns, sharey=True, sharex=len({p.unit for p in panels}) == 1)
        for number, (place, panel) in enumerate(zip(np.ravel(axes), panels, strict=False)):
            _draw_lengths(place, panel)
            if number + columns >= len(panels):  # no panel is below it
                place.tick_params(labelbottom=True)
                place.set_xlabel(panel.unit)
        for place in np.ravel(axes)[len(panels) :]:
            place.set_axis_off()
        return _svg(figure, label)


def _draw_lengths(axes: Axes, panel: Panel) -> None:
    starts, ends = SHOWN_EDGES[:-1].astype(float), SHOWN_EDGES[1:].astype(float)
    shares = panel.shares[:-1]
    axes.set_xscale("log")
    some = shares > 0
    axes.bar(starts[some], shares[some], (ends - starts)[some], align="edge", color=_KEPT, edgecolor="none")
    if panel.behind is not None:
        axes.stairs(panel.behind[:-1], SHOWN_EDGES.astype(float), color=_BACKDROP, linewidth=1.2)
    axes.axvline(panel.median, color=_DROPPED, linewidth=1.4, linestyle=(0, (4, 2)))
    axes.set_title(cut(" ".join(panel.title.split()), 24))
    axes.set_title(f"median {short_count(panel.median)}", loc="right", color=_DROPPED, fontsize=9)
    used = np.flatnonzero(shares if panel.behind is None else shares + panel.behind[:-1])
    if len(used):
        low, high = starts[max(0, used[0] - 1)], ends[min(used[-1] + 1, len(ends) - 1)]
        if np.ceil(np.log10(low)) > np.log10(high):  # only powers of ten have labels
            low = 10 ** np.floor(np.log10(low))
        axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(LogLocator(10))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_count(value)))
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))


def similarity_histogram(counts: npt.NDArray[np.int64], even_odds: float | None, label: str) -> Markup:
    """Draw near duplicates by similarity, with a line where a pair is found with a probability of 50 %."""
    edges = np.linspace(0, 1, len(counts) + 1)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(10, 2.6), layout="constrained")
        axes = figure.subplots()
        axes.bar(edges[:-1], counts, width=np.diff(edges) * 0.92, align="edge", color=_KEPT, edgecolor="none")
        if even_odds is not None:
            axes.axvline(even_odds, color=_DROPPED, linewidth=1.4, linestyle=(0, (4, 2)))
            words = f"LSH finds half of the pairs with a similarity of {even_odds:.2f}"
            side = "right" if even_odds > 0.5 else "left"
            axes.text(even_odds, 1.03, words, transform=axes.get_xaxis_transform(), ha=side, color=_DROPPED)
        axes.set_xlim(0, 1)
        axes.set_xticks(np.linspace(0, 1, 11))
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short_count(value)))
        axes.set_xlabel("Jaccard similarity to the document that is kept")
        return _svg(figure, label)


def _svg(figure: Figure, label: str) -> Markup:
    """Return the SVG element without the parts that only a separate file needs."""
    buffer = io.StringIO()
    metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with mpl.rc_context({"svg.hashsalt": label}), warnings.catch_warnings():
        # the reader's browser chooses the font of a title, so glyphs missing on this machine do not matter
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="svg", transparent=True, metadata=metadata)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<style.*?</style>|<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r' id="[a-z]+[A-Za-z]*_\d+"', "", text)
    text = re.sub(r'<svg [^>]*?(viewBox="[^"]+")[^>]*>', rf"<svg \1 {_attributes(label)}>", text, count=1)
    for name, stand_in in _VARIABLES.items():
        text = text.replace(stand_in, f"var(--{name})")
    return Markup(text)


def _attributes(label: str) -> str:
    # re.sub would interpret a backslash in the replacement, and a quote would end the attribute
    safe = escape(label).replace("\\", "&#92;")
    return f'class="chart" role="img" aria-label="{safe}"'
