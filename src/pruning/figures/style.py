"""One look for every figure: sizes, fonts, and one colour and marker per method everywhere."""

import io
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from pruning import registry
from pruning.errors import PruningError
from pruning.figures.context import literal
from pruning.files import atomic_path
from pruning.study.papers import paper
from pruning.systems import systems

COLUMN_WIDTH = 3.35  # inches, one column of a two-column page
PANEL_HEIGHT = 2.35
COLUMNS = 3  # panels beside each other
LEGEND_ROWS = 4  # that a figure has room for; with more it becomes higher
LEGEND_ROW_HEIGHT = 0.15  # inches
TITLE_LENGTH = 42  # characters over a panel; longer titles take two lines
_COLORS = sns.color_palette("colorblind")


@dataclass(frozen=True)
class Style:
    """How a method is drawn, in every figure.

    Attributes:
        label: in legends.
        color: index into seaborn's colour-blind-safe palette, or a colour of matplotlib's.
        marker: matplotlib's; differs per method, so that colour is never the only difference.
        line: matplotlib's line style.
    """

    label: str
    color: int | str
    marker: str
    line: Any = "-"


# What was done to a mask, where colour tells that. Where colour tells the method, the line does.
VARIANTS = {
    "unmodified": Style("Unmodified", "0.15", "o", "-"),
    "shuffled": Style("Shuffled layerwise", 9, "s", (0, (4, 1.5))),
    "reinitialized": Style("Reinitialized", 5, "^", (0, (1, 1.2))),
    "inverted": Style("Inverted", 3, "v", (0, (4, 1.2, 1, 1.2))),
}
NETWORKS = {
    "lenet_300_100": "LeNet-300-100",
    "lenet_5": "LeNet-5",
    "resnet18": "ResNet-18",
    "resnet20": "ResNet-20",
    "resnet34": "ResNet-34",
    "resnet50": "ResNet-50",
    "resnet56": "ResNet-56",
    "resnet110": "ResNet-110",
    "vgg16": "VGG-16",
    "densenet40": "DenseNet-40",
    "gnmt": "GNMT",
}
DATASETS = {
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "imagenet": "ImageNet",
    "tiny_imagenet": "Tiny ImageNet",
}
_SPARE_MARKERS = "PX*<>hdp"
_ORDERED_MARKERS = "os^Dv"


@cache
def known() -> dict[str, Style]:
    """The styles of all systems' methods, in the order of legends."""
    places = (system.styles for system in systems() if system.styles)
    looks = {method: look for place in places for method, look in registry.load(place).items()}
    return {method: replace(look, label=literal(look.label)) for method, look in looks.items()}


def method_style(method: str, methods: list[str]) -> Style:
    """The style of a method; one without gets a free look by its place in ``methods``."""
    if method in known():
        return known()[method]
    taken = [known()[m] for m in methods if m in known()]
    colors = [c for c in range(5, 10) if c not in {look.color for look in taken}]
    markers = [m for m in _SPARE_MARKERS if m not in {look.marker for look in taken}]
    place = [m for m in methods if m not in known()].index(method)
    return Style(
        _spelled(method),
        colors[place % len(colors)],
        markers[place % len(markers)],
    )


def variant_style(look: Style, variant: str) -> Style:
    """How a variant of a method is drawn among other methods: as the method, with another line."""
    if variant == "unmodified":
        return look
    return replace(look, label=f"{look.label}, {literal(variant)}", line=variant_look(variant).line)


def variant_look(variant: str) -> Style:
    """The style of a variant; one without gets a free one."""
    return VARIANTS.get(variant, Style(_spelled(variant), 6, "P", (0, (6, 1, 1, 1))))


def _spelled(name: str) -> str:
    """A name of the code's for people."""
    return literal(name.replace("_", " ").capitalize())


def sequential(labels: Sequence[str], places: Sequence[float]) -> list[Style]:
    """Styles of values that have an order, dark to light by their ``places`` from 0 to 1."""
    shades = matplotlib.colormaps["viridis"]
    return [
        # Not up to the end, which is too light for a line on white.
        Style(label, to_hex(shades(0.85 * place)), _ORDERED_MARKERS[i % len(_ORDERED_MARKERS)])
        for i, (label, place) in enumerate(zip(labels, places, strict=True))
    ]


def order(methods: list[str]) -> list[str]:
    """Legend order: as in :func:`known`, then others by name."""
    return [m for m in known() if m in methods] + sorted(m for m in methods if m not in known())


def color(style: Style) -> tuple[float, float, float]:
    """The colour of a style as RGB."""
    return to_rgb(style.color if isinstance(style.color, str) else _COLORS[style.color])


def use() -> None:
    """Set the project's look for what is drawn next."""
    sns.set_theme(
        context="paper",
        style="ticks",
        palette="colorblind",
        font_scale=0.85,
        rc={
            "axes.grid": True,
            "grid.color": "0.92",
            "grid.linewidth": 0.6,
            "axes.linewidth": 0.7,
            "axes.titlesize": 8.5,
            "xtick.labelsize": 6.6,
            "xtick.major.width": 0.7,
            "ytick.major.width": 0.7,
            "lines.linewidth": 1.2,
            "lines.markersize": 3.8,
            "legend.frameon": False,
            "legend.fontsize": 7,
            "legend.handlelength": 1.6,
            "legend.columnspacing": 1.2,
            "pdf.fonttype": 42,
            "savefig.dpi": 300,
        },
    )


def compression_axis(axes: Axes, densities: list[float]) -> None:
    """A log axis from dense to sparse; a tick at every level, labelled 1/density where it fits.

    The axis is the density, so distances are as in the paper; labels read as compression.
    """
    _density_axis(axes, densities, lambda density, span: ratio(1 / density, span))
    axes.set_xlabel("Compression ratio")


def sparsity_axis(axes: Axes, densities: list[float]) -> None:
    """The same axis as :func:`compression_axis`, labelled by the percentage that is gone."""
    _density_axis(axes, densities, lambda density, span: percent_removed(density), apart=0.095)
    axes.set_xlabel("Sparsity (%)")


def _density_axis(
    axes: Axes,
    densities: list[float],
    text: Callable[[float, float], str],
    apart: float = 0.115,
) -> None:
    """``apart`` is the least distance of two labels, in parts of the axis."""
    densities = sorted(set(densities), reverse=True)
    axes.set_xscale("log")
    span = max(densities) / min(densities) if len(densities) > 1 else 4.0
    axes.set_xlim(max(densities) * span**0.04, min(densities) / span**0.04)
    axes.xaxis.set_major_locator(FixedLocator(densities))
    axes.xaxis.set_minor_locator(NullLocator())
    shown, last = set(), 0.0
    for density in reversed(densities):  # the sparsest first, then those that are far enough
        if density >= last * span**apart:
            shown.add(density)
            last = density
    axes.set_xticklabels([text(d, span) if d in shown else "" for d in densities])


def percent_removed(density: float) -> str:
    """A sparsity for people, in percent: 36, 48.8, 99.9, 99.99; finer the closer it is to 100."""
    places = max(1, math.ceil(round(-math.log10(density), 9)) - 2)
    return f"{100 * (1 - density):.{places}f}".rstrip("0").rstrip(".")


def ratio(value: float, span: float = math.inf) -> str:
    """A compression ratio for people: 1.40x, 22.7x, 125x; finer where ``span`` is small."""
    if span <= 1.1:
        return f"{value:.3f}x"
    return f"{value:#.3g}x" if value < 99.95 else f"{value:.0f}x"


def reference_line(axes: Axes, value: float = 0, label: str | None = "Dense") -> None:
    """A level to compare with: without more, the mean of the dense networks."""
    axes.axhline(value, color="0.45", linewidth=0.9, linestyle=(0, (4, 2)), label=label, zorder=1)


def dense_band(axes: Axes, low: float, high: float, mean: float = 0) -> None:
    """The mean and the spread of the dense networks."""
    axes.axhspan(low, high, color="0.88", linewidth=0, zorder=0)
    reference_line(axes, mean)


def arrowheads(
    axes: Axes,
    x: Any,
    rows: Sequence[int],
    look: Style,
    *,
    hollow: bool = False,
    upper: bool = False,
) -> None:
    """Small arrowheads at the lower edge, for points that are below it, or at the ``upper`` one.

    Such points are far from all others: an axis that held them would hide the rest. Where several
    curves have one, they stand in ``rows``, counted from the edge.
    """
    shape = {
        "marker": "^" if upper else "v",
        "markersize": 3.2,
        "linestyle": "none",
        "markeredgewidth": 0.6,
    }
    away = [0.025 + 0.05 * row for row in rows]  # from the edge, in parts of the axis
    axes.plot(
        x,
        [1 - distance for distance in away] if upper else away,
        transform=axes.get_xaxis_transform(),
        color=color(look),
        markerfacecolor="white" if hollow else color(look),
        zorder=4,
        **shape,
    )
    axes.plot([], [], color="0.35", label="Above the axis" if upper else "Below the axis", **shape)


def curve(
    axes: Axes, x: Any, y: Any, look: Style, bars: Sequence[Any] | None = None, **more: Any
) -> None:
    """A line with a marker at each point and, where given, thin error bars.

    Args:
        axes: where.
        x, y: the points.
        look: label, colour, marker and line.
        bars: lengths of the bars, one for both sides or a pair.
        **more: what to draw differently, as matplotlib's ``errorbar`` takes it.
    """
    usual = {
        "label": look.label,
        "color": color(look),
        "marker": look.marker,
        "linestyle": look.line,
        "markeredgecolor": "white",
        "markeredgewidth": 0.4,
        "elinewidth": 0.8,
        "capsize": 1.5,
        "capthick": 0.8,
    }
    axes.errorbar(x, y, yerr=bars, **usual | more)


def band(axes: Axes, x: Any, low: Any, high: Any, look: Style) -> None:
    """A spread around a line of many points, which bars would hide."""
    axes.fill_between(x, low, high, color=color(look), alpha=0.16, linewidth=0, zorder=1.1)


def explain(axes: Axes, lines: Mapping[str, Any], *, columns: int = 1) -> None:
    """Which line is which in every colour, in room made for it above the curves."""
    low, high = axes.get_ylim()
    axes.set_yticks([tick for tick in axes.get_yticks() if low <= tick <= high])
    rows = -(-len(lines) // columns)
    axes.set_ylim(low, high + 0.12 * rows * (high - low))
    handles = [
        Line2D([], [], color="0.35", linestyle=line, label=label) for label, line in lines.items()
    ]
    look = {"handlelength": 2.6, "borderaxespad": 0.2}
    axes.legend(handles=handles, loc="upper right", ncols=columns, **look)


def dodged(values: pd.Series, place: int, count: int, *, log: bool) -> pd.Series:
    """A small shift, in parts of the axis, that keeps the bars of different curves apart."""
    shift = 0.006 * (place - (count - 1) / 2)
    if log:
        return values * (values.max() / values.min()) ** -shift
    return values + shift * values.max()


def title(study: str, what: str) -> str:
    """A panel's title: one line where it fits, else two."""
    separator = ", " if len(study) + len(what) < TITLE_LENGTH else "\n"
    return f"{study}{separator}{what}"


def published_name(reference: str) -> str:
    """``renda2020:resnet56`` for legends."""
    name, _, network = reference.partition(":")
    return literal(f"{NETWORKS.get(network, network)}, published ({paper(name).label})")


def literature_markers(sources: list[str]) -> dict[str, str]:
    """A marker for each source of literature points, the same in every panel."""
    return dict(zip(sources, "*Xdph<>" * len(sources), strict=False))


def legend(figure: Figure, axes: Iterable[Axes], *, dashes: bool = False) -> None:
    """One legend below all panels, each entry once; longer handles where ``dashes`` matter."""
    entries: dict[str, Any] = {}
    for panel in axes:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    width, height = figure.get_size_inches()
    handle = 0.55 if dashes else 0.45
    widths = [handle + 0.055 * len(label) for label in entries]  # inches, at the legend's size
    columns = max(1, min(len(widths), int(width / max(widths, default=width))))
    while len(widths) > LEGEND_ROWS * columns and _legend_width(widths, columns + 1) <= width:
        columns += 1
    more = -(-len(widths) // columns) - LEGEND_ROWS
    if more > 0:  # the panels keep their height
        figure.set_size_inches(width, height + LEGEND_ROW_HEIGHT * more)
    handles = {"handlelength": 2.6} if dashes else {}
    figure.legend(
        entries.values(), entries.keys(), loc="outside lower center", ncols=columns, **handles
    )


def _legend_width(widths: Sequence[float], columns: int) -> float:
    """Inches that so many columns take, filled one after another as matplotlib does."""
    rows, longer = divmod(len(widths), columns)
    ends = [(c + 1) * rows + min(c + 1, longer) for c in range(columns)]
    starts = [0, *ends[:-1]]
    return sum(max(widths[a:b]) for a, b in zip(starts, ends, strict=True) if b > a)


def grid(rows: int, columns: int) -> tuple[Figure, list[list[Axes]]]:
    """Rows and columns of panels that mean something; narrower where there are many columns."""
    width = COLUMN_WIDTH * (1 if columns <= COLUMNS else 0.78)
    size = (width * columns, PANEL_HEIGHT * rows + 0.55)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    return figure, [list(row) for row in axes]


def panels(count: int) -> tuple[Figure, list[Axes]]:
    """A row-wise grid of panels, at most three wide, each readable at column width."""
    columns = max(1, min(count, COLUMNS))
    rows = max(1, -(-count // columns))
    figure, axes = grid(rows, columns)
    flat = [panel for row in axes for panel in row]
    for spare in flat[count:]:
        spare.remove()
    return figure, flat[:count]


def first_of_rows(axes: Sequence[Axes], shown: Sequence[Any]) -> Iterator[tuple[Axes, Any]]:
    """Panels to label, with what they show: the left one of each row, and where that changes."""
    for place, (panel, what) in enumerate(zip(axes, shown, strict=True)):
        if place % COLUMNS == 0 or what != shown[place - 1]:
            yield panel, what


def save(figure: Figure, pdf: Path | str, png: Path | str) -> None:
    """Write a figure as PDF and PNG; the same data give the same bytes."""
    try:
        for path, kind, metadata in ((pdf, "pdf", {"CreationDate": None}), (png, "png", {})):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, metadata=metadata)
            with atomic_path(path) as temporary:
                temporary.write_bytes(buffer.getvalue())
    except OSError as error:
        raise PruningError(f"The figure {pdf} cannot be written ({error}).") from error
    finally:
        plt.close(figure)
