"""Figures of Lym et al. (2019) about layers: which channels are left, and how they die."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.ticker import MaxNLocator

from pruning.figures import pages, replicates, style
from pruning.figures.context import Context, Drawn, literal, nothing
from pruning.figures.pages import Pages
from pruning.figures.shares import name_layers
from pruning.figures.sizes import PANEL_HEIGHT
from pruning.figures.style import Style
from pruning.systems.prunetrain.figures.panels import (
    KEYS,
    at_one_level,
    entitle,
    epoch_axis,
    from_zero,
    head,
    lines,
    method_styles,
    put_title,
    ratio_styles,
    shrinking,
    summed,
    together,
    written,
)
from pruning.systems.prunetrain.rules import METHODS

PRUNETRAIN = "prunetrain"
SCALED = (PRUNETRAIN, "prunetrain_size_scaled")
SIDES = {"dense_outputs": "Output channels", "dense_inputs": "Input channels"}
LAYER = ("layer", "position")
LARGEST, SMALLEST_SIZE = 10.0, 1e-4  # |w|, ends of the colours
SHADES = 256
MAPS = 12  # heat maps of a study, all on a page
NAME_LENGTH = 20  # characters above a heat map; longer names take two lines
AXES = {"_by_epoch": "Output channel, sorted", "_by_pair": "Output channel"}


def density(table: pd.DataFrame, context: Context) -> Drawn:
    """Channels that reach the threshold by epoch, and those left at the end, a row per study.

    Left: the mean over layers of the share of output and of input channels, as built, that reach
    it. A line per penalty ratio, bands one standard deviation to each side; the two have the same
    axis. Right:
    output channels of each layer as built and at the end, at the study's ``prunetrain_level``;
    means over replicates, bars one standard deviation. Draws from ``prunetrain_layers`` too.
    """
    rows = shrinking(table, PRUNETRAIN)
    if rows.empty:
        raise nothing(context, "no network shrank by PruneTrain.")
    layers = at_one_level(shrinking(context.tables["prunetrain_layers"], PRUNETRAIN), context)
    looks = ratio_styles(rows["ratio"])
    names = [study for study in replicates.studies(rows, context) if study in layers]
    sheet, grid = pages.grid(len(names), len(SIDES) + 1)
    shown, heads = [], []
    for row, study in zip(grid, names, strict=True):
        here = rows[rows["study"] == study]
        found = [summed(here, 100 * here[side], side) for side in SIDES]
        for panel, drawn in zip(row, found, strict=False):
            lines(panel, drawn, looks, "ratio")
        _limit_shares(row[:2], found)
        epoch_axis(row[:2])
        row[0].set_ylabel("Not sparse (%)")
        bars = _bars(row[2], layers[study], looks)
        heads.append(head(context, pd.concat(found)))
        shown += [*found, *bars]
    entitle(grid, heads, (*SIDES.values(), "Output channels, by layer"))
    pages.finish(sheet, points=replicates.POINTS, spread=replicates.SPREAD)
    return Drawn(sheet, written(shown))


def scaling(table: pd.DataFrame, context: Context) -> Drawn:
    """MACs of inference that each layer keeps, with one strength for all groups and by their size.

    A panel per study, at its ``prunetrain_level`` where both methods have it, else at the last that
    they share. Grey bars are the layer's share of the MACs of the network as built. Means over
    replicates, bars one standard deviation to each side.
    """
    rows = at_one_level(together(shrinking(table, *SCALED), SCALED), context)
    if not rows:
        raise nothing(context, "no penalty ratio has both penalties, of one strength and by size.")
    looks = method_styles(SCALED)
    sheet, axes = pages.panels(len(rows))
    shown = []
    for panel, (study, here) in zip(axes, rows.items(), strict=True):
        left = 100 * here["inference_macs"] / here["inference_macs_before"]
        drawn = summed(here, left, "inference_macs", LAYER)
        size = _shares(here)
        label = "Share of all MACs as built (%)"
        panel.bar(size["position"], size["mean"], color="0.86", linewidth=0, label=label)
        name_layers(panel, here)
        for place, (method, look) in enumerate(looks.items()):
            mine = drawn[drawn["method"] == method].sort_values("position")
            bars = mine["std"] if mine["std"].notna().any() else None
            at = mine["position"] + 0.06 * (place - 0.5)
            style.curve(panel, at, mine["mean"], look, bars)
        from_zero([panel], drawn, size, least=100)
        what = f"penalty ratio {here['ratio'].iloc[0]:g} ({replicates.counts(drawn)})"
        panel.set_title(style.title(context.title(study), what))
        shown += [size, drawn]
    for panel in axes[:: pages.COLUMNS]:
        panel.set_ylabel("Inference MACs left (%)")
    pages.finish(sheet, points=replicates.POINTS, spread=replicates.SPREAD)
    return Drawn(sheet, written(shown))


def revival(table: pd.DataFrame, context: Context) -> Drawn:
    """Largest |w| of every output channel by epoch, while nothing is cut, a panel per layer.

    Of one training, of the first replicate: channels that are sparse at one moment would be cut
    then, and above each panel is how many of them are not sparse at a later one. Channels are
    sorted by their size at the end. Layers are spaced evenly where there are too many.
    """
    return _heat_maps(table, context, _by_epoch, ("seed", "threshold", "channel"))


def filters(table: pd.DataFrame, context: Context) -> Drawn:
    """Largest |w| between every input and output channel at the end of a training, a panel a layer.

    Of one training that cuts nothing before its end, of the first replicate.
    """
    return _heat_maps(table, context, _by_pair, ("seed", "threshold", "input", "output"))


# -- which rows ---------------------------------------------------------------------------------


def _shares(here: pd.DataFrame) -> pd.DataFrame:
    """A layer's share of the MACs of the network as built, in percent."""
    first = here.drop_duplicates(list(LAYER))
    share = 100 * first["inference_macs_before"] / first["inference_macs_before"].sum()
    columns = {"study": first["study"], "layer": first["layer"], "position": first["position"]}
    return pd.DataFrame({**columns, "mean": share, "std": math.nan, "quantity": "share_as_built"})


def _whole(table: pd.DataFrame, context: Context) -> dict[str, pd.DataFrame]:
    """By study one training that keeps all channels to its end.

    Of the first method in the wing's order that does, at the study's level, of its first replicate.
    """
    rows = shrinking(table, *(name for name, method in METHODS.items() if method.once))
    if rows.empty:
        raise nothing(context, "no network kept its channels to the end of training.")
    found = {}
    for study in replicates.studies(rows, context):
        here = rows[rows["study"] == study]
        method = next(name for name in METHODS if name in set(here["method"]))
        (one,) = at_one_level(here[here["method"] == method], context).values()
        found[study] = one[one["seed"] == one["seed"].min()]
    return found


def _layers(rows: pd.DataFrame) -> list[str]:
    """The layers that are shown, evenly spaced from the first to the last where there are many."""
    names = rows.drop_duplicates("layer").sort_values("position")["layer"].tolist()
    count = min(len(names), MAPS)
    return [names[round(place)] for place in np.linspace(0, len(names) - 1, count)]


def _revived(here: pd.DataFrame) -> pd.DataFrame:
    """Channels below the threshold at a record that is not the last, and those above it later."""
    sizes = here.pivot(index="channel", columns="epoch", values="size")
    sparse = sizes < here["threshold"].iloc[0]
    counts = {
        "revived": (sparse.cummax(axis=1) & ~sparse).any(axis=1).sum(),
        "sparse": sparse.iloc[:, :-1].any(axis=1).sum(),
    }
    cell = here.iloc[[0]][[*KEYS, "seed", "threshold", *LAYER]]
    return pd.concat([cell.assign(quantity=name, mean=n) for name, n in counts.items()])


# -- drawing ------------------------------------------------------------------------------------


def _limit_shares(axes: Sequence[Axes], tables: Sequence[pd.DataFrame]) -> None:
    """Around everything that is drawn, up to all channels at least."""
    rows = pd.concat(tables)
    spread = rows["std"].fillna(0)
    low, high = (rows["mean"] - spread).min(), max(100, (rows["mean"] + spread).max())
    margin = 0.05 * max(high - low, 1)
    for panel in axes:
        panel.set_ylim(low - margin, high + margin)


def _bars(
    panel: Axes, here: pd.DataFrame, looks: Mapping[float, Style]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Output channels of each layer as built, and in front of these what is left at the end."""
    before = summed(here, here["outputs_before"], "outputs_before", LAYER)
    after = summed(here, here["outputs"], "outputs", LAYER)
    look = looks[here["ratio"].iloc[0]]
    look = replace(look, label=f"Left at the end, {look.label.lower()}", line="none")
    panel.bar(before["position"], before["mean"], color="0.85", linewidth=0, label="As built")
    bars = after["std"] if after["std"].notna().any() else None
    style.curve(panel, after["position"], after["mean"], look, bars)
    name_layers(panel, here)
    from_zero([panel], before.assign(std=math.nan), after)
    panel.set_ylabel("Channels")
    panel.grid(axis="x", visible=False)
    return before.assign(std=math.nan), after


def _heat_maps(
    table: pd.DataFrame,
    context: Context,
    draw: Callable[[Axes, pd.DataFrame], tuple[QuadMesh, str, list[pd.DataFrame]]],
    more: Sequence[str],
) -> Drawn:
    """A heat map for each layer; the pages and the colours of a study are its own."""
    sheets, shown = [], []
    for training in _whole(table, context).values():
        names = _layers(training)
        columns = min(pages.COLUMNS, len(names))
        sheet, grid = pages.grid(-(-len(names) // columns), columns, PANEL_HEIGHT, wide=True)
        panels = [panel for row in grid for panel in row]
        for spare in panels[len(names) :]:
            spare.remove()
        panels, titles = panels[: len(names)], []
        for panel, layer in zip(panels, names, strict=True):
            mesh, note, drawn = draw(panel, training[training["layer"] == layer])
            titles.append(f"{_broken(literal(layer))}{note}")
            shown += drawn
        lines = 1 + max(title.count("\n") for title in titles[:columns])
        for panel, title in zip(panels, titles, strict=True):
            head = _of_one(context, training) if panel is panels[0] else ""
            put_title(panel, title, head, lines)
        for panel in panels[::columns]:
            panel.set_ylabel(AXES[draw.__name__])
        _colorbar(mesh, panels, training["threshold"].iloc[0])
        sheets.append(sheet)
    sheet = Pages(tuple(page for sheet in sheets for page in sheet.figures))
    pages.finish(sheet, note="One training.")
    return Drawn(sheet, written(shown, more))


def _broken(name: str) -> str:
    """A name of a layer, in two lines where it is long."""
    if len(name) <= NAME_LENGTH or "." not in name:
        return name
    ends = [place for place, letter in enumerate(name, start=1) if letter == "."]
    middle = min(ends, key=lambda end: abs(end - len(name) / 2))
    return f"{name[:middle]}\n{name[middle:]}"


def _of_one(context: Context, rows: pd.DataFrame) -> str:
    study, method, ratio, seed = rows[["study", "method", "ratio", "seed"]].iloc[0]
    label = style.method_style(method, [method]).label
    return f"{context.title(study)}: {label}, penalty ratio {ratio:g}, seed {seed}"


def _by_epoch(panel: Axes, here: pd.DataFrame) -> tuple[QuadMesh, str, list[pd.DataFrame]]:
    """Channels by epoch, each record from the one before on; how many revived."""
    sizes = here.pivot(index="channel", columns="epoch", values="size")
    sizes = sizes.loc[sizes.iloc[:, -1].sort_values(kind="stable").index]
    ends = np.array([0, *sizes.columns], dtype=float)
    mesh = _heat(panel, ends, np.arange(len(sizes) + 1), sizes, here["threshold"].iloc[0])
    epoch_axis([panel])
    counts = _revived(here)
    revived, sparse = counts["mean"]
    note = f"{revived:g} of {sparse:g} sparse revived" if sparse else "none was sparse"
    return (
        mesh,
        f"\n{note}",
        [here.rename(columns={"size": "mean"}).assign(quantity="size"), counts],
    )


def _by_pair(panel: Axes, here: pd.DataFrame) -> tuple[QuadMesh, str, list[pd.DataFrame]]:
    """Output channels by input channels."""
    sizes = here.pivot(index="output", columns="input", values="size")
    height, width = sizes.shape
    threshold = here["threshold"].iloc[0]
    mesh = _heat(panel, np.arange(width + 1), np.arange(height + 1), sizes, threshold)
    panel.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    panel.set_xlabel("Input channel")
    return mesh, "", [here.rename(columns={"size": "mean"}).assign(quantity="size")]


def _heat(
    panel: Axes, x: np.ndarray, y: np.ndarray, sizes: pd.DataFrame, threshold: float
) -> QuadMesh:
    colors, norm = _colors(threshold)
    shown = np.clip(sizes.to_numpy(), SMALLEST_SIZE, LARGEST)
    mesh = panel.pcolormesh(x, y, shown, cmap=colors, norm=norm, rasterized=True)
    panel.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    panel.grid(visible=False)
    return mesh


def _colors(threshold: float) -> tuple[ListedColormap, LogNorm]:
    """Greys below the threshold, and colours that darken above it."""
    norm = LogNorm(SMALLEST_SIZE, LARGEST)
    below = round(SHADES * float(np.clip(norm(threshold), 0, 1)))
    grey = [(*(level,) * 3, 1.0) for level in np.linspace(1.0, 0.82, below)]
    bright = colormaps["viridis_r"](np.linspace(0.15, 1, SHADES - below))
    return ListedColormap([*grey, *map(tuple, bright)]), norm


def _colorbar(mesh: QuadMesh, panels: Sequence[Axes], threshold: float) -> None:
    bar = (
        panels[0]
        .get_figure()
        .colorbar(
            mesh, ax=list(panels), orientation="horizontal", fraction=0.05, aspect=50, extend="both"
        )
    )
    bar.ax.minorticks_off()
    bar.ax.axvline(threshold, color="black", linewidth=1.2)
    bar.set_label(f"Largest |w|; sparse below {threshold:.3g}, the line (log scale, greys)")
