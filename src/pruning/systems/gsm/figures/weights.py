"""Figures of Ding et al. (2019) about weights: which layers keep theirs, and how large they are."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator

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
RANKS = (
    "r: rank correlation over layers of GSM's share with what is lost when the layer alone is "
    "pruned the most."
)
GAP = "Where GSM leaves a gap, zeroing changes little: the curve is flat and the thick line long."


def layers(table: pd.DataFrame, context: Context) -> Drawn:
    """What each layer keeps at each level, and beside it what pruning it alone does (Fig. 2).

    Of each study first a panel per level, the density of each layer under the masks of GSM and of
    magnitude, with the rank correlation over layers of GSM's density with what is lost at the
    smallest density that layers alone were pruned to. Then one panel with the test score of the
    dense network when one layer alone is pruned by magnitude. Bars are one standard deviation to
    each side. Draws from the table ``gsm_sensitivity`` too.
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
    looks = _alone_looks(alone)
    rows = _rows_of_studies(by_level(shares, context), alone)
    sheet, grid = pages.grid(len(rows), max(map(len, rows)))
    shown: list[pd.DataFrame] = []
    for axes, panels in zip(grid, rows, strict=True):
        for place, (panel, (found, mine)) in enumerate(zip(axes, panels, strict=False)):
            study = mine["study"].iloc[0]
            if found is None:
                _draw_alone(panel, mine, looks)
                panel.set_title(f"{context.title(study)}\none layer pruned ({_n(mine)})")
                panel.set_ylabel(only(mine["metric"]).axis)
                shown.append(mine)
                continue
            correlation = _rank_correlation(found, mine)
            _draw_shares(panel, found, shares[shares["study"] == study])
            panel.set_title(_shares_title(found, correlation, context))
            if place == 0:
                panel.set_ylabel("Weights kept (%, log scale)")
            shown += [found, correlation]
        for spare in axes[len(panels) :]:
            spare.remove()
    note = RANKS if any("rank_correlation" in set(t["quantity"]) for t in shown) else ""
    pages.finish(sheet, points=replicates.POINTS, spread=replicates.SPREAD, note=note, dashes=True)
    return Drawn(sheet, written(shown, ("quantity", "layer_density", "position", "layer")))


def magnitudes(table: pd.DataFrame, context: Context) -> Drawn:
    """Share of the prunable weights that are smaller than x, before zeroing.

    A panel per study and level: GSM's network and the dense one it began with, means over
    replicates. A thick line at the height of what is to be removed goes from the largest weight
    that zeroing drops to the smallest that it keeps, means over replicates too: the longer, the
    less zeroing changes.
    """
    wanted = table["method"].isin(METHODS) & (table["variant"] == "unmodified")
    counts = _histograms(table[wanted])
    if counts.empty:
        raise nothing(context, "no sizes of weights were counted.")
    panels = by_level(counts, context)
    sheet, axes = pages.panels(len(panels))
    for panel, rows in zip(axes, panels, strict=True):
        first = rows.loc[(rows["mean"] > 0) & (rows["low"] > 0), "low"].min()
        for method, look in LOOKS.items():
            mine = rows[rows["method"] == method]
            if len(mine):
                _draw_smaller(panel, mine, look, first)
        style.reference_line(panel, 100 * (1 - rows["density"].iloc[0]), "Share to be removed")
        panel.set_xscale("log")
        panel.set_xlim(first, rows.loc[rows["mean"] > 0, "high"].max())
        panel.xaxis.set_major_locator(LogLocator(numticks=6))
        panel.xaxis.set_minor_locator(NullLocator())
        panel.set_ylim(-3, 103)
        panel.set_xlabel("x, size of a weight (log scale)")
        panel.set_title(at_ratio(rows, context))
    for panel in axes[:: style.COLUMNS]:
        panel.set_ylabel("Weights smaller than x (%)")
    pages.finish(sheet, points=replicates.POINTS, note=GAP, dashes=True)
    more = ("low", "high", "smaller", "largest_dropped", "smallest_kept", "gap")
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
    """Mean counts of each bin, what is smaller than its upper end in percent, and mean ends.

    A bin that a replicate lacks is empty.
    """
    keys = list(CELL)
    n = table.groupby(keys)["seed"].nunique().rename("n")
    counts = table.groupby([*keys, "low", "high"])["count"].sum().rename("mean").reset_index()
    ends = table.drop_duplicates([*keys, "seed"]).groupby(keys)
    ends = ends[["largest_dropped", "smallest_kept"]].mean()
    gap = (ends["smallest_kept"] / ends["largest_dropped"]).rename("gap")
    counts = counts.join(ends, on=keys).join(gap, on=keys).join(n, on=keys)
    counts = counts.assign(mean=counts["mean"] / counts["n"]).sort_values([*keys, "low"])
    cells = counts.groupby(keys)["mean"]
    return counts.assign(smaller=100 * cells.cumsum() / cells.transform("sum"))


def _rows_of_studies(
    levels: Sequence[pd.DataFrame], alone: pd.DataFrame
) -> list[list[tuple[pd.DataFrame | None, pd.DataFrame]]]:
    """Rows of panels: of each study its levels and, without one, what pruning one layer does."""
    studies: dict[str, list[pd.DataFrame]] = {}
    for rows in levels:
        studies.setdefault(rows["study"].iloc[0], []).append(rows)
    found = []
    for study, mine in studies.items():
        beside = alone[alone["study"] == study]
        panels = [(rows, beside) for rows in [*mine, None]]
        columns = pages.beside(len(panels))
        found += [panels[i : i + columns] for i in range(0, len(panels), columns)]
    return found


# -- drawing ------------------------------------------------------------------------------------


def _draw_shares(panel: Axes, rows: pd.DataFrame, study: pd.DataFrame) -> None:
    """One level, on the axis of all of its study."""
    looks = {m: style.method_style(m, [m]) for m in METHODS if m in set(rows["method"])}
    bottom = share_axes(panel, study)
    share_lines(panel, rows, looks, bottom, bars=True)


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


def _n(rows: pd.DataFrame) -> str:
    return replicates.counts(rows)


def _shares_title(rows: pd.DataFrame, correlation: pd.DataFrame, context: Context) -> str:
    what = f"{style.ratio(1 / rows['density'].iloc[0])} ({_n(rows)})"
    if len(correlation):
        what += f", r = {correlation['mean'].iloc[0]:.2f}"
    return f"{context.title(rows['study'].iloc[0])}\n{what}"


def _draw_smaller(panel: Axes, rows: pd.DataFrame, look: Style, first: float) -> None:
    """The share of weights below each size, and where zeroing cuts."""
    line = rows[rows["high"] >= first * (1 - 1e-9)].sort_values("high")
    at = line["high"].to_numpy()
    share = line["smaller"].to_numpy()
    panel.plot(at, share, color=style.color(look), linestyle=look.line, label=look.label)
    cell = rows.iloc[0]
    ends = [max(cell["largest_dropped"], first), cell["smallest_kept"]]
    height = 100 * (1 - cell["density"])
    panel.plot(
        ends,
        [height, height],
        color=style.color(look),
        linewidth=3,
        marker=look.marker,
        label=f"{look.label}, largest removed to smallest kept",
        zorder=3,
    )
