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


def layers(table: pd.DataFrame, context: Context) -> Drawn:
    """Share of its weights that each layer keeps, a panel per study and level .

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
    sheet, grid = pages.grid(len(by_study), max(map(len, by_study)))
    for axes, panels in zip(grid, by_study, strict=True):
        for panel, rows in zip(axes, panels, strict=False):
            bottom = share_axes(panel, rows)
            looks = {m: look(rows, m, methods) for m in methods if m in set(rows["method"])}
            share_lines(panel, rows, looks, bottom)
            panel.set_title(_title(rows, context))
        for spare in axes[len(panels) :]:
            spare.remove()
        axes[0].set_ylabel("Weights kept (%)")
    pages.finish(sheet, dashes=True)
    drawn = [rows for panels in by_study for rows in panels]
    return Drawn(sheet, _written(drawn, ("position", "layer", "empty")))


def neurons(table: pd.DataFrame, context: Context) -> Drawn:
    """Share of output channels that are at least as sparse as x, a panel per study (F5).

    Means over replicates at one level, the first of those that :func:`layers` shows; dashed for
    masks shuffled within layers. What a curve still has at 100 % are channels without any weight.
    Settings: ``methods``, ``levels``; a study's ``at_init_levels`` goes before the latter.
    """
    _refuse_nothing(table, context)
    shares = _chosen(at_init.channel_shares(table), CHANNEL_VARIANTS, context)
    panels = [
        _at_levels(shares[shares["study"] == study], context)[0]
        for study in replicates.studies(shares, context)
    ]
    methods = style.order(list(dict.fromkeys(shares["method"])))
    sheet, axes = pages.panels(len(panels))
    for panel, rows in zip(axes, panels, strict=True):
        _channel_lines(panel, rows, methods)
        panel.set_xlim(-1, 102)
        panel.set_ylim(-2, 104)
        panel.set_xlabel("Sparsity x (%)")
        panel.set_title(_title(rows, context))
    for panel in axes[:: style.COLUMNS]:
        panel.set_ylabel("Channels with sparsity ≥ x (%)")
    pages.finish(sheet, dashes=True)
    return Drawn(sheet, _written(panels, ("channel_sparsity",)))


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


def _written(panels: Sequence[pd.DataFrame], more: Sequence[str]) -> pd.DataFrame:
    """Spreads are not drawn, so they are not among the numbers."""
    return replicates.written(panels, more).drop(columns="std")


# -- drawing ------------------------------------------------------------------------------------


def _title(rows: pd.DataFrame, context: Context) -> str:
    sparsity = style.percent_removed(rows["density"].iloc[0])
    what = f"{sparsity} % ({replicates.counts(rows)})"
    return style.title(context.title(rows["study"].iloc[0]), what)


def _channel_lines(panel: Axes, rows: pd.DataFrame, methods: Sequence[str]) -> None:
    present = [method for method in methods if method in set(rows["method"])]
    for place, method in enumerate(present):
        for variant in CHANNEL_VARIANTS:
            line = rows[(rows["method"] == method) & (rows["variant"] == variant)]
            if line.empty:
                continue
            line = line.sort_values("channel_sparsity")
            found = look(rows, method, list(methods))
            label = found.label if variant == "unmodified" else "_"
            found = replace(found, label=label, line=style.VARIANTS[variant].line)
            # Markers stand apart, and not at the same x in every curve.
            start = 2 * place + (10 if variant == "shuffled" else 0)
            more = {"markevery": (start, 20), "linewidth": 1.0}
            style.curve(panel, line["channel_sparsity"], line["mean"], found, **more)
    for variant in CHANNEL_VARIANTS:
        of = style.VARIANTS[variant]
        panel.plot([], [], color="0.35", linestyle=of.line, label=of.label)
