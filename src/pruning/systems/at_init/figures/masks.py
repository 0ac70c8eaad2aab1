"""Figures of Frankle et al. (2021) about the masks themselves: no accuracy is in them.

Weights that every layer keeps, from the table of layers; how sparse single
output channels become (F5), from the table of channels.
"""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
from matplotlib.axes import Axes

from pruning.errors import PruningError
from pruning.figures import pages, replicates, style
from pruning.figures.context import Context, Drawn
from pruning.figures.shares import share_axes, share_lines
from pruning.systems.at_init import tables as at_init
from pruning.systems.at_init.figures.accuracy import look

CHANNEL_VARIANTS = ("unmodified", "shuffled")
EMPTY = "Open markers at the lower edge: no replicate keeps a weight of the layer."


def layers(table: pd.DataFrame, context: Context) -> Drawn:
    """Share of its weights that each layer keeps, a panel per study and level.

    Means over replicates; layers that are empty in all of them stand at the lower edge. Settings:
    ``methods``, ``levels``; a study's ``at_init_levels`` goes before the latter.
    """
    _refuse_nothing(table, context)
    shares = _chosen(at_init.layer_shares(table), ("unmodified",), context)
    by_study = [
        _at_levels(shares[shares["study"] == study], context)
        for study in replicates.studies(shares, context)
    ]
    methods = style.order(list(dict.fromkeys(shares["method"])))
    shares = pd.concat([rows for panels in by_study for rows in panels])
    by_study = [
        panels[i : i + pages.COLUMNS]
        for panels in by_study
        for i in range(0, len(panels), pages.COLUMNS)
    ]
    sheet, grid = pages.grid(len(by_study), max(map(len, by_study)))
    for axes, panels in zip(grid, by_study, strict=True):
        for panel, rows in zip(axes, panels, strict=False):
            bottom = share_axes(panel, shares[shares["study"] == rows["study"].iloc[0]])
            looks = {m: look(rows, m, methods) for m in methods if m in set(rows["method"])}
            share_lines(panel, rows, looks, bottom)
            panel.set_title(_title(rows, context))
        for spare in axes[len(panels) :]:
            spare.remove()
        axes[0].set_ylabel("Weights kept (%, log scale)")
    pages.finish(
        sheet, points=replicates.POINTS, note=EMPTY if _any_empty(by_study) else "", dashes=True
    )
    drawn = [rows for panels in by_study for rows in panels]
    return Drawn(sheet, _written(drawn, ("position", "layer", "empty")))


def neurons(table: pd.DataFrame, context: Context) -> Drawn:
    """Share of output channels that are at least as sparse as x, a panel per study and method (F5).

    Means over replicates at one level, the first of those that :func:`layers` shows; dashed for
    masks shuffled within layers, the difference shaded. What a curve still has at 100 % are
    channels without any weight. Settings: ``methods``, ``levels``; a study's ``at_init_levels``
    goes before the latter.
    """
    _refuse_nothing(table, context)
    shares = _chosen(at_init.channel_shares(table), CHANNEL_VARIANTS, context)
    studies = [
        _at_levels(shares[shares["study"] == study], context)[0]
        for study in replicates.studies(shares, context)
    ]
    rows = [row for here in studies for row in _rows_of_methods(here)]
    sheet, grid = pages.grid(len(rows), max(map(len, rows)))
    for axes, panels in zip(grid, rows, strict=True):
        for panel, mine in zip(axes, panels, strict=False):
            _channel_lines(panel, mine)
            panel.set_xlim(-1, 102)
            panel.set_ylim(-2, 104)
            panel.set_xlabel("Sparsity x of a channel (%)")
            method = mine["method"].iloc[0]
            sparsity = style.percent_removed(mine["density"].iloc[0])
            name = f"{look(mine, method, [method]).label}, {sparsity} %"
            title = context.title(mine["study"].iloc[0])
            panel.set_title(f"{title}\n{name} ({replicates.counts(mine)})")
        for spare in axes[len(panels) :]:
            spare.remove()
        axes[0].set_ylabel("Channels with\nsparsity ≥ x (%)")
    pages.finish(
        sheet, points="lines: means over replicates", spread="what shuffling changes", dashes=True
    )
    return Drawn(sheet, _written(studies, ("channel_sparsity",)))


# -- which rows ---------------------------------------------------------------------------------


def _refuse_nothing(table: pd.DataFrame, context: Context) -> None:
    if table.empty:
        names = ", ".join(context.titles)
        raise PruningError(f"{names}: there are no masks made at initialization.")


def _chosen(shares: pd.DataFrame, variants: Sequence[str], context: Context) -> pd.DataFrame:
    """Cells of these masks at the first time each method was applied."""
    shares = at_init.at_first(at_init.without_faults(shares))
    shares = shares[shares["variant"].isin(variants)]
    methods = context.settings.get("methods")
    if methods is not None:
        shares = shares[shares["method"].isin(methods)]
    if shares.empty:
        names = ", ".join(context.titles)
        raise PruningError(f"{names}: no method that this figure shows has {variants[0]} masks.")
    return shares


def _at_levels(here: pd.DataFrame, context: Context) -> list[pd.DataFrame]:
    """The rows of each level of a study that is shown."""
    asked = context.settings.get("levels")
    levels = at_init.shown_levels(
        here, context.option(here["study"].iloc[0], "at_init_levels", asked)
    )
    return [here[here["level"] == level] for level in levels]


def _rows_of_methods(here: pd.DataFrame) -> list[list[pd.DataFrame]]:
    """The rows of each method of a study, a few methods beside each other."""
    methods = style.order(list(dict.fromkeys(here["method"])))
    found = [here[here["method"] == method] for method in methods]
    beside = pages.beside(len(found))
    return [found[i : i + beside] for i in range(0, len(found), beside)]


def _written(panels: Sequence[pd.DataFrame], more: Sequence[str]) -> pd.DataFrame:
    """Spreads are not drawn, so they are not among the numbers."""
    return replicates.written(panels, more).drop(columns="std")


# -- drawing ------------------------------------------------------------------------------------


def _any_empty(rows: Sequence[Sequence[pd.DataFrame]]) -> bool:
    return any((panel["mean"] == 0).any() for panels in rows for panel in panels)


def _title(rows: pd.DataFrame, context: Context) -> str:
    sparsity = style.percent_removed(rows["density"].iloc[0])
    what = f"{sparsity} % ({replicates.counts(rows)})"
    return style.title(context.title(rows["study"].iloc[0]), what)


def _channel_lines(panel: Axes, rows: pd.DataFrame) -> None:
    """The curve of a method's masks and of shuffled ones, which no colour has to tell apart."""
    lines = {}
    for variant in CHANNEL_VARIANTS:
        line = rows[rows["variant"] == variant].sort_values("channel_sparsity")
        if line.empty:
            continue
        lines[variant] = line.set_index("channel_sparsity")["mean"]
        found = replace(style.VARIANTS[variant], marker="None")
        style.curve(panel, line["channel_sparsity"], line["mean"], found)
    if len(lines) == len(CHANNEL_VARIANTS):
        one, other = lines.values()
        style.band(panel, one.index, one, other, style.VARIANTS["shuffled"])
