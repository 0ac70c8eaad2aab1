"""Figures of Ding et al. (2019) about weights: which layers keep theirs, and how large they are."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from pruning.analysis import replicates as summaries
from pruning.analysis.score import only, signs
from pruning.analysis.score import shown as as_shown
from pruning.figures import pages, replicates, style
from pruning.figures.context import Context, Drawn, nothing
from pruning.figures.shares import name_layers, share_axes, share_lines
from pruning.figures.style import Style
from pruning.systems.gsm.figures.accuracy import at_ratio, by_level, written
from pruning.systems.gsm.section import UNMODIFIED
from pruning.systems.gsm.styles import STYLES

METHODS = ("gsm", "magnitude_without_retraining")
CELL = ("study", "method", "variant", "level", "density")
ALONE = "_pruned_alone"  # after the metric, what the CSV calls scores of dense networks
LOOKS = {  # before zeroing there is nothing of magnitude pruning yet
    "gsm": STYLES["gsm"],
    "magnitude_without_retraining": Style("Dense", 1, "s", (0, (3, 1.2))),
}
CORRELATED = 3  # layers at least, or a rank correlation says nothing
ZERO = (0.5, 0.2)  # decades: width of the bin from 0, and its distance from the others
LEAST = 0.1  # weights, where a histogram ends below: means over replicates may be below 1
ROOM = 0.3  # of a histogram's height, for what is written above it


def layers(table: pd.DataFrame, context: Context) -> Drawn:
    """What each layer keeps beside what pruning it alone does, a row per study and level (Fig. 2).

    Left: density of each layer under the masks of GSM and of magnitude. Right: test score of the
    dense network when one layer alone is pruned by magnitude; above it the rank correlation over
    layers of GSM's density with what is lost at the smallest such density. Bars are
    one standard deviation to each side. Draws from the table ``gsm_sensitivity`` too.
    """
    shares = summaries.layer_shares(
        table[table["method"].isin(METHODS) & (table["variant"] == UNMODIFIED)]
    )
    shares = shares[shares["variant"] == "unmodified"].assign(quantity="kept")
    alone = _alone(context.tables["gsm_sensitivity"])
    shares = shares[shares["study"].isin(alone["study"])]
    alone = alone[alone["study"].isin(shares["study"])]
    if shares.empty:
        raise nothing(context, "there are no layers both of masks and pruned alone (sensitivity).")
    panels = by_level(shares, context)
    looks = _alone_looks(alone)
    sheet, grid = pages.grid(len(panels), 2)
    shown = []
    for (left, right), rows in zip(grid, panels, strict=True):
        mine = alone[alone["study"] == rows["study"].iloc[0]]
        correlation = _rank_correlation(rows, mine)
        _draw_shares(left, rows)
        _draw_alone(right, mine, looks)
        left.set_title(at_ratio(rows, context))
        right.set_title(_alone_title(mine, correlation))
        shown += [rows, mine, correlation]
    pages.finish(sheet)
    return Drawn(sheet, written(shown, ("quantity", "layer_density", "position", "layer")))


def magnitudes(table: pd.DataFrame, context: Context) -> Drawn:
    """Histogram of the sizes of all prunable weights before zeroing, a panel per study and level.

    Of GSM's network and of the dense one it began with; means over replicates. Shaded: between the
    largest weight that zeroing drops and the smallest that it keeps, means over replicates as well;
    the ratio of the two is written beside it. The leftmost bin begins at 0.
    """
    wanted = table["method"].isin(METHODS) & (table["variant"] == "unmodified")
    counts = _histograms(table[wanted])
    if counts.empty:
        raise nothing(context, "no sizes of weights were counted.")
    panels = by_level(counts, context)
    sheet, axes = pages.panels(len(panels))
    for panel, rows in zip(axes, panels, strict=True):
        start = _size_axes(panel, rows)
        for method, look in LOOKS.items():
            mine = rows[rows["method"] == method]
            if len(mine):
                _draw_histogram(panel, mine, look, start)
        _draw_gaps(panel, rows, start)
        panel.set_title(at_ratio(rows, context))
    for panel in axes[:: style.COLUMNS]:
        panel.set_ylabel("Weights")
    pages.finish(sheet)
    more = ("low", "high", "largest_dropped", "smallest_kept", "gap")
    return Drawn(sheet, written(panels, more).drop(columns="std"))  # spreads are not drawn


# -- which rows ---------------------------------------------------------------------------------


def _alone(sensitivity: pd.DataFrame) -> pd.DataFrame:
    value = as_shown(sensitivity["score"], sensitivity["metric"])
    keys = [*CELL, "metric", "layer_density", "position", "layer"]
    table = summaries.summed_up(sensitivity.assign(value=value, variant=""), "value", keys)
    return table.assign(quantity=table["metric"] + ALONE)


def _rank_correlation(rows: pd.DataFrame, alone: pd.DataFrame) -> pd.DataFrame:
    """Of GSM's density of each layer with what is lost when it alone is pruned; a row or none."""
    ours = rows[rows["method"] == "gsm"]
    smallest = alone[alone["layer_density"] == alone["layer_density"].min()]
    pairs = ours.merge(smallest, on="layer", suffixes=("", "_alone"))
    if len(pairs) < CORRELATED:
        return pairs.iloc[:0]
    lost = -signs(pairs["metric"]) * pairs["mean_alone"]
    found = pairs["mean"].corr(lost, method="spearman")
    if math.isnan(found):  # one of the two is the same everywhere
        return pairs.iloc[:0]
    cell = ours.iloc[[0]][[*CELL, "n"]]
    density = smallest["layer_density"].iloc[0]
    return cell.assign(quantity="rank_correlation", layer_density=density, mean=round(found, 6))


def _histograms(table: pd.DataFrame) -> pd.DataFrame:
    """Mean counts of each bin and mean ends of the gap; a bin that a replicate lacks is empty."""
    keys = list(CELL)
    n = table.groupby(keys)["seed"].nunique().rename("n")
    counts = table.groupby([*keys, "low", "high"])["count"].sum().rename("mean").reset_index()
    ends = table.drop_duplicates([*keys, "seed"]).groupby(keys)
    ends = ends[["largest_dropped", "smallest_kept"]].mean()
    gap = (ends["smallest_kept"] / ends["largest_dropped"]).rename("gap")
    counts = counts.join(ends, on=keys).join(gap, on=keys).join(n, on=keys)
    return counts.assign(mean=counts["mean"] / counts["n"])


# -- drawing ------------------------------------------------------------------------------------


def _draw_shares(panel: Axes, rows: pd.DataFrame) -> None:
    looks = {m: style.method_style(m, [m]) for m in METHODS if m in set(rows["method"])}
    bottom = share_axes(panel, rows)
    share_lines(panel, rows, looks, bottom, bars=True)
    panel.set_ylabel("Weights kept (%)")


def _alone_looks(alone: pd.DataFrame) -> dict[float, Style]:
    densities = sorted(set(alone["layer_density"]))
    labels = [f"One layer at {100 * density:g} %" for density in densities]
    places = np.linspace(0, 1, len(densities))
    return dict(zip(densities, style.sequential(labels, list(places)), strict=True))


def _draw_alone(panel: Axes, alone: pd.DataFrame, looks: dict[float, Style]) -> None:
    name_layers(panel, alone)
    for density, look in looks.items():
        rows = alone[alone["layer_density"] == density].sort_values("position")
        if rows.empty:
            continue
        bars = rows["std"] if rows["std"].notna().any() else None
        style.curve(panel, rows["position"], rows["mean"], look, bars)
    panel.set_ylabel(only(alone["metric"]).axis)


def _alone_title(alone: pd.DataFrame, correlation: pd.DataFrame) -> str:
    title = f"Each layer pruned alone ({replicates.counts(alone)})"
    if correlation.empty:
        return title
    return f"{title}\nrank correlation with GSM: {correlation['mean'].iloc[0]:.2f}"


def _size_axes(panel: Axes, rows: pd.DataFrame) -> float:
    """Both axes of a histogram; the left end comes back, where the bin from 0 begins."""
    filled = rows[rows["mean"] > 0]
    first = filled["low"].where(filled["low"] > 0, filled["high"]).min()
    start, end = first / 10 ** sum(ZERO), filled["high"].max()
    powers = range(math.ceil(math.log10(first)), math.ceil(math.log10(end)) + 1)
    every = 1 + len(powers) // 7
    ticks = {10.0**power: f"$10^{{{power}}}$" for power in powers if power % every == 0}
    if (filled["low"] == 0).any():
        near = start * (end / start) ** 0.1
        ticks = {tick: label for tick, label in ticks.items() if tick > near}
        ticks[start * 10 ** (ZERO[0] / 2)] = "0"
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.xaxis.set_major_locator(FixedLocator(list(ticks)))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_xticklabels(ticks.values())
    panel.yaxis.set_minor_locator(NullLocator())
    panel.set_xlim(start / 10**0.1, end * 10**0.1)
    panel.set_ylim(0.5, 2 * filled["mean"].max() ** (1 + ROOM))
    panel.set_axisbelow(True)
    panel.set_xlabel("|w|")
    return start


def _draw_histogram(panel: Axes, rows: pd.DataFrame, look: Style, start: float) -> None:
    """Steps over the bins; the bin from 0 stands apart from ``start`` on."""
    color = style.color(look)
    shape = {"edgecolor": color, "facecolor": (*color, 0.2), "fill": True, "linewidth": 0.9}
    shape |= {"linestyle": look.line, "baseline": LEAST}
    bins = rows[rows["low"] > 0]
    edges = np.unique(bins[["low", "high"]])
    # Bins that no replicate has weights in may be left out.
    counts = bins.set_index("low")["mean"].reindex(edges[:-1]).fillna(0)
    panel.stairs(counts.clip(lower=LEAST), edges, label=look.label, **shape)
    zero = rows.loc[rows["low"] == 0, "mean"]
    if zero.sum() > 0:
        panel.stairs(zero, [start, start * 10 ** ZERO[0]], **shape)


def _draw_gaps(panel: Axes, rows: pd.DataFrame, start: float) -> None:
    """Where zeroing cuts: GSM's gap is shaded, that of the dense network is next to nothing."""
    cells = rows.drop_duplicates("method").set_index("method")
    for method, look in LOOKS.items():
        if method not in cells.index:
            continue
        cell = cells.loc[method]
        panel.axvline(cell["smallest_kept"], color=style.color(look), linewidth=0.8, linestyle=":")
        if method == "gsm":
            low = max(cell["largest_dropped"], start * 10 ** sum(ZERO))
            panel.axvspan(low, cell["smallest_kept"], color="0.85", linewidth=0, zorder=0.4)
    gaps = [f"{LOOKS[m].label} {_times(cells.loc[m, 'gap'])}" for m in LOOKS if m in cells.index]
    panel.text(
        0.03,
        0.96,
        f"Smallest kept / largest removed:\n{', '.join(gaps)}",
        transform=panel.transAxes,
        fontsize=6.6,
        va="top",
    )


def _times(gap: float) -> str:
    if math.isinf(gap):
        return "∞"
    return f"{gap:.2f}" if gap < 10 else f"{gap:.0f}" if gap < 1e5 else f"{gap:.1e}"
