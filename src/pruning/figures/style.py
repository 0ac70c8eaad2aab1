"""One look for every figure: sizes, fonts, and one colour and marker per method everywhere."""

import io
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from pruning.errors import PruningError
from pruning.files import atomic_path

COLUMN_WIDTH = 3.35  # inches, one column of a two-column page
PANEL_HEIGHT = 2.35
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
    axes.set_xlim(max(densities) * 1.08, min(densities) / 1.08)
    axes.xaxis.set_major_locator(FixedLocator(densities))
    axes.xaxis.set_minor_locator(NullLocator())
    step = -(-len(densities) // 8)
    shown = {d for i, d in enumerate(reversed(densities)) if i % step == 0}
    axes.set_xticklabels([ratio(1 / d) if d in shown else "" for d in densities])
    axes.set_xlabel("Compression ratio")


def ratio(value: float) -> str:
    """A compression ratio for people: 1.25x, 9.31x, 22.7x."""
    return f"{value:.3g}x"


def panels(count: int) -> tuple[Figure, list[Axes]]:
    """A row-wise grid of panels, at most three wide, each readable at column width."""
    columns = min(count, 3)
    rows = -(-count // columns)
    size = (COLUMN_WIDTH * columns, PANEL_HEIGHT * rows + 0.55)
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    axes = list(grid.flat)
    for spare in axes[count:]:
        spare.remove()
    return figure, axes[:count]


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
