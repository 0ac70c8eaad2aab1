"""One look for every figure: sizes, fonts, and one colour and marker per method everywhere."""

import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from pruning.errors import PruningError
from pruning.files import atomic_path
from pruning.papers import paper

COLUMN_WIDTH = 3.35  # inches, one column of a two-column page
PANEL_HEIGHT = 2.35
COLUMNS = 3  # panels beside each other
_COLORS = sns.color_palette("colorblind")


@dataclass(frozen=True)
class Style:
    """How a method is drawn, in every figure.

    Attributes:
        label: in legends.
        color: index into seaborn's colour-blind-safe palette.
        marker: matplotlib's; differs per method, so that colour is never the only difference.
    """

    label: str
    color: int
    marker: str


METHODS = {
    "lr_rewind": Style("Learning-rate rewinding", 0, "o"),
    "weight_rewind": Style("Weight rewinding", 1, "s"),
    "fine_tune": Style("Fine-tuning", 2, "^"),
    "low_lr_weight_rewind": Style("Low-LR weight rewinding", 4, "D"),
    "reinit": Style("Reinitialization", 3, "v"),
}
NETWORKS = {
    "resnet18": "ResNet-18",
    "resnet20": "ResNet-20",
    "resnet34": "ResNet-34",
    "resnet50": "ResNet-50",
    "resnet56": "ResNet-56",
    "resnet110": "ResNet-110",
    "vgg16": "VGG-16",
    "gnmt": "GNMT",
}
_SPARE_MARKERS = "PX*<>hdp"


def method_style(method: str, methods: list[str]) -> Style:
    """The style of a method; one without gets a free colour by its place in ``methods``."""
    if method in METHODS:
        return METHODS[method]
    others = [m for m in methods if m not in METHODS]
    place = others.index(method)
    return Style(
        method.replace("_", " ").capitalize(),
        5 + place % 5,
        _SPARE_MARKERS[place % len(_SPARE_MARKERS)],
    )


def order(methods: list[str]) -> list[str]:
    """Legend order: as in :data:`METHODS`, then others by name."""
    return [m for m in METHODS if m in methods] + sorted(m for m in methods if m not in METHODS)


def color(style: Style) -> tuple[float, float, float]:
    """The colour of a style as RGB."""
    return _COLORS[style.color]


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
    densities = sorted(set(densities), reverse=True)
    axes.set_xscale("log")
    span = max(densities) / min(densities) if len(densities) > 1 else 4.0
    axes.set_xlim(max(densities) * span**0.04, min(densities) / span**0.04)
    axes.xaxis.set_major_locator(FixedLocator(densities))
    axes.xaxis.set_minor_locator(NullLocator())
    shown, last = set(), 0.0
    for density in reversed(densities):  # the sparsest first, then those that are far enough
        if density >= last * span**0.115:
            shown.add(density)
            last = density
    axes.set_xticklabels([ratio(1 / d, span) if d in shown else "" for d in densities])
    axes.set_xlabel("Compression ratio")


def ratio(value: float, span: float = math.inf) -> str:
    """A compression ratio for people: 1.40x, 9.31x, 22.7x; finer where ``span`` is small."""
    return f"{value:#.3g}x" if span > 1.1 else f"{value:.3f}x"


def reference_line(axes: Axes, value: float = 0, label: str | None = "Dense") -> None:
    """A level to compare with: without more, the mean of the dense networks."""
    axes.axhline(value, color="0.45", linewidth=0.9, linestyle=(0, (4, 2)), label=label, zorder=1)


def dense_band(axes: Axes, low: float, high: float) -> None:
    """The mean and the spread of the dense networks."""
    axes.axhspan(low, high, color="0.88", linewidth=0, zorder=0)
    reference_line(axes)


def published_name(reference: str) -> str:
    """``renda2020:resnet56`` for legends."""
    name, _, network = reference.partition(":")
    return f"{NETWORKS.get(network, network)}, published ({paper(name).label})"


def literature_markers(sources: list[str]) -> dict[str, str]:
    """A marker for each source of literature points, the same in every panel."""
    return dict(zip(sources, "*Xdph<>" * len(sources), strict=False))


def legend(figure: Figure, axes: Iterable[Axes]) -> None:
    """One legend below all panels, each entry once."""
    entries: dict[str, Any] = {}
    for panel in axes:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    longest = max(map(len, entries), default=0)
    entry_width = 0.45 + 0.055 * longest  # inches, at the legend's size
    columns = max(1, min(len(entries), int(figure.get_size_inches()[0] / entry_width)))
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=columns)


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
