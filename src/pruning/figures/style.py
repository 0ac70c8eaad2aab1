"""One look for every figure: sizes, fonts, and one colour and marker per method everywhere."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.ticker import FixedLocator, NullLocator

from pruning import registry
from pruning.figures.context import literal
from pruning.figures.sizes import COLUMNS, SMALLEST, axes_size
from pruning.study.papers import paper
from pruning.systems import systems

MOST_DODGE = 0.1  # of the way to the next tick
LABEL = 0.36  # inches of the label of a tick
TITLE_LENGTH = 30  # characters over a panel; longer titles take two lines
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
            "xtick.labelsize": SMALLEST,
            "ytick.labelsize": SMALLEST,
            "xtick.major.width": 0.7,
            "ytick.major.width": 0.7,
            "lines.linewidth": 1.2,
            "lines.markersize": 3.8,
            "legend.frameon": False,
            "legend.fontsize": SMALLEST,
            "legend.handlelength": 1.6,
            "legend.columnspacing": 1.2,
            "pdf.fonttype": 42,
            "savefig.dpi": 300,
        },
    )


def compression_axis(axes: Axes, densities: Iterable[float]) -> None:
    """A log axis from dense to sparse; a tick at every level, labelled 1/density where it fits.

    The axis is the density, so distances are as in the paper; labels read as compression.
    """
    _density_axis(axes, densities, lambda density, span: ratio(1 / density, span))
    axes.set_xlabel("Compression ratio (log scale)")


def sparsity_axis(axes: Axes, densities: Iterable[float]) -> None:
    """The same axis as :func:`compression_axis`, labelled by the percentage that is gone."""
    _density_axis(axes, densities, lambda density, span: percent_removed(density))
    axes.set_xlabel("Sparsity (%, log scale of the rest)")


def _density_axis(
    axes: Axes, densities: Iterable[float], text: Callable[[float, float], str]
) -> None:
    densities = sorted(set(densities), reverse=True)
    axes.set_xscale("log")
    span = max(densities) / min(densities) if len(densities) > 1 else 4.0
    axes.set_xlim(max(densities) * span**0.04, min(densities) / span**0.04)
    axes.xaxis.set_major_locator(FixedLocator(densities))
    axes.xaxis.set_minor_locator(NullLocator())
    step = span ** (LABEL / axes_size(axes)[0])
    shown, last = set(), math.inf
    for density in densities:  # the densest first, then those that are far enough
        if density * step <= last * (1 + 1e-9):
            shown.add(density)
            last = density
    axes.set_xticklabels([text(d, span) if d in shown else "" for d in densities])


def percent_removed(density: float) -> str:
    """A sparsity for people, in percent: 36, 48.8, 99.9, 99.99; finer the closer it is to 100."""
    places = max(1, math.ceil(round(-math.log10(density), 9)) - 2)
    return f"{100 * (1 - density):.{places}f}".rstrip("0").rstrip(".")


def ratio(value: float, span: float = math.inf) -> str:
    """A compression ratio for people: 5x, 1.25x, 22.7x, 125x; finer where ``span`` is small."""
    if span <= 1.1:
        return f"{value:.3f}x"
    return f"{value:.3g}x" if value < 99.95 else f"{value:.0f}x"


def reference_line(axes: Axes, value: float = 0, label: str | None = "Dense") -> None:
    """A level to compare with: without more, the mean of the dense networks."""
    axes.axhline(value, color="0.45", linewidth=0.9, linestyle=(0, (4, 2)), label=label, zorder=1)


def dense_band(axes: Axes, low: float, high: float, mean: float = 0, spread: str = "") -> None:
    """The mean of the dense networks and, where they differ, their ``spread`` in words."""
    if high > low:
        axes.axhspan(low, high, color="0.88", linewidth=0, zorder=0, label=f"Dense, {spread}")
    reference_line(axes, mean, "Dense, mean")


def curve(
    axes: Axes, x: Any, y: Any, look: Style, bars: Sequence[Any] | None = None, **more: Any
) -> None:
    """A line with a marker at each point and, where given, thin error bars.

    Args:
        axes: where.
        x, y: the points.
        look: label, colour, marker and line.
        bars: lengths of the bars, one for both sides or a pair.
        **more: what to draw differently, as matplotlib's ``plot`` takes it, and ``xerr``.
    """
    usual = {
        "label": look.label,
        "color": color(look),
        "marker": look.marker,
        "linestyle": look.line,
        "markeredgecolor": "white",
        "markeredgewidth": 0.4,
    }
    spreads = {"yerr": bars, "xerr": more.pop("xerr", None)}
    spreads = {name: given for name, given in spreads.items() if _some(given)}
    if not spreads:
        axes.plot(x, y, **usual | more)  # a legend shows whiskers where there are some
        return
    whiskers = {"elinewidth": 0.8, "capsize": 1.5, "capthick": 0.8}
    axes.errorbar(x, y, **spreads, **whiskers | usual | more)


def _some(bars: Sequence[Any] | None) -> bool:
    """Whether some bar has a length."""
    return bars is not None and bool(np.nansum(np.abs(np.asarray(bars, dtype=float))))


def band(axes: Axes, x: Any, low: Any, high: Any, look: Style) -> None:
    """A spread around a line of many points, which bars would hide."""
    axes.fill_between(x, low, high, color=color(look), alpha=0.16, linewidth=0, zorder=1.1)


def explain(axes: Axes, lines: Mapping[str, Any]) -> None:
    """Which line is which in every colour, for the legend."""
    for label, line in lines.items():
        axes.plot([], [], color="0.35", linestyle=line, label=label)


def dodged(
    values: pd.Series, place: int, count: int, *, log: bool, ticks: Iterable[float] = ()
) -> pd.Series:
    """A small shift that keeps the bars of different curves apart.

    No point is moved farther than a tenth of the way to the next tick.

    Args:
        values: positions of a curve's points.
        place: of the curve among ``count`` ones.
        count: how many curves there are.
        log: whether the axis is logarithmic; it then falls from left to right.
        ticks: of the axis, where others than the values themselves are there.
    """
    known = np.unique([*values, *ticks]).astype(float)
    known = np.log(known[known > 0]) if log else known
    gaps = np.diff(known)
    reach = (
        min(0.006 * (count - 1) / 2 * np.ptp(known), MOST_DODGE * gaps.min()) if len(gaps) else 0
    )
    shift = reach * (2 * place / (count - 1) - 1) if count > 1 else 0.0
    return values * math.exp(-shift) if log else values + shift


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


def first_of_rows(axes: Sequence[Axes], shown: Sequence[Any]) -> Iterator[tuple[Axes, Any]]:
    """Panels to label, with what they show: the left one of each row, and where that changes."""
    for place, (panel, what) in enumerate(zip(axes, shown, strict=True)):
        if place % COLUMNS == 0 or what != shown[place - 1]:
            yield panel, what
