"""Figures of Lym et al. (2019) about trainings, epoch by epoch: costs, gating, batches, progress.

Lines are means over replicates, bands one standard deviation to each side. An epoch's costs are
those of the network that it trained.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from pruning.figures import pages, replicates, style
from pruning.figures.context import Context, Drawn, nothing
from pruning.figures.style import Style
from pruning.systems.prunetrain.communication import communication
from pruning.systems.prunetrain.figures.panels import (
    at_one_level,
    entitle,
    epoch_axis,
    from_zero,
    head,
    lines,
    method_styles,
    of_first,
    of_whole,
    ratio_styles,
    shrinking,
    summed,
    together,
    written,
)
from pruning.systems.prunetrain.published import intervals_for

PRUNETRAIN = "prunetrain"
COSTS = {
    "training_macs": "Training MACs",
    "norm_traffic": "Batch-norm traffic",
    "activations": "Activations",
    "out_channels": "Output channels",
    "model_elements": "Model size",
}
GATED = (PRUNETRAIN, "prunetrain_gating")
GROWING = (PRUNETRAIN, "prunetrain_dynamic_batch")
BATCHES = {"memory": "Memory, estimated", "batch": "Mini-batch", "learning_rate": "Learning rate"}
UNITS = {"memory": "MiB", "batch": "Images", "learning_rate": "Rate"}
PROGRESS = {
    "realised_ratio": ("Penalty in the loss", "Share of the loss (%)"),
    "seconds": ("Time of an epoch", "% of uncut epochs"),
    "bytes": ("Gradients sent", "MB per epoch"),
    "rate_times_strength": ("Stability", "Learning rate · λ (log scale)"),
}
BOUND = "bound"
PUBLISHED_LINE = (0, (3, 1.2))


def costs(table: pd.DataFrame, context: Context) -> Drawn:
    """What an epoch costs in percent of the first one, by epoch and penalty ratio, a row per study.

    Training MACs, elements that batch norms move, activations, output channels of convolutions and
    size of the model. In the first epoch nothing has been cut, so it costs what one of the dense
    network does. All panels share their value axis. Dashed in the first one: what was published of
    the same network and data set, where the study's ``prunetrain_published`` names a source.
    """
    rows = shrinking(table, PRUNETRAIN)
    if rows.empty:
        raise nothing(context, "no network shrank by PruneTrain.")
    names = replicates.studies(rows, context)
    published = {study: _intervals(rows[rows["study"] == study], context) for study in names}
    looks = ratio_styles([*rows["ratio"], *pd.concat(published.values())["ratio"]])
    each = -(-len(COSTS) // pages.COLUMNS)  # rows of a study
    sheet, grid = pages.grid(each * len(names), pages.COLUMNS)
    rows_of_panels = [_together(grid[i : i + each], COSTS) for i in range(0, len(grid), each)]
    shown, heads = [], []
    for row, study in zip(rows_of_panels, names, strict=True):
        here = rows[rows["study"] == study]
        found = [summed(here, of_first(here, cost), cost) for cost in COSTS]
        for panel, drawn in zip(row, found, strict=True):
            lines(panel, drawn, looks, "ratio")
            if drawn.empty:
                panel.text(0.5, 0.5, "none", transform=panel.transAxes, ha="center")
        _draw_intervals(row[0], published[study], looks)
        for panel in row[:: pages.COLUMNS]:
            panel.set_ylabel("% of dense")
        heads.append(head(context, pd.concat(found)))
        shown += [*found, published[study]]
    everything = [panel for row in rows_of_panels for panel in row]
    from_zero(everything, *shown, least=100)
    epoch_axis(everything)
    entitle(rows_of_panels, heads, tuple(COSTS.values()))
    pages.finish(sheet, points=replicates.POINTS, spread=replicates.SPREAD, dashes=True)
    return Drawn(sheet, written(shown))


def gates(table: pd.DataFrame, context: Context) -> Drawn:
    """Union beside gating: training MACs and time of each epoch, a row per study.

    At the study's ``prunetrain_level`` where both methods have it, else at the last that they
    share. Draws from the table ``prunetrain_seconds`` too.
    """
    rows = at_one_level(together(shrinking(table, *GATED), GATED), context)
    if not rows:
        raise nothing(context, "no penalty ratio has both union and gating.")
    seconds = shrinking(context.tables["prunetrain_seconds"], *GATED)
    looks = method_styles(GATED)
    sheet, grid = pages.grid(len(rows), 2)
    shown, heads = [], []
    for row, (study, here) in zip(grid, rows.items(), strict=True):
        level, ratio = here[["level", "ratio"]].iloc[0]
        timed = seconds[(seconds["study"] == study) & (seconds["level"] == level)]
        found = [
            summed(here, of_first(here, "training_macs"), "training_macs"),
            summed(timed, of_whole(timed), "seconds"),
        ]
        for panel, drawn in zip(row, found, strict=True):
            lines(panel, drawn, looks, "method")
            from_zero([panel], drawn, least=100)
        row[0].set_ylabel("% of dense")
        row[1].set_ylabel("% of uncut epochs")
        epoch_axis(row)
        heads.append(head(context, pd.concat(found), f"penalty ratio {ratio:g}"))
        shown += found
    entitle(grid, heads, ("Training MACs", "Time of an epoch"))
    pages.finish(sheet, points=replicates.POINTS, spread=replicates.SPREAD)
    return Drawn(sheet, written(shown))


def batch(table: pd.DataFrame, context: Context) -> Drawn:
    """Estimated memory, mini-batch and learning rate by epoch, with a growing batch and without.

    A row per study, at its ``prunetrain_level`` where both methods have it, else at the last that
    they share.
    """
    rows = at_one_level(together(shrinking(table, *GROWING), GROWING), context)
    if not rows:
        raise nothing(context, "no penalty ratio has both a growing batch and one that stays.")
    looks = method_styles(GROWING)
    sheet, grid = pages.grid(len(rows), len(BATCHES))
    shown, heads = [], []
    for row, here in zip(grid, rows.values(), strict=True):
        found = []
        for panel, quantity in zip(row, BATCHES, strict=True):
            values = here[quantity] / 2**20 if quantity == "memory" else here[quantity]
            drawn = summed(here, values, quantity)
            lines(panel, drawn, looks, "method")
            if quantity == "learning_rate" and (drawn["mean"] > 0).all():
                panel.set_yscale("log")
                panel.yaxis.set_minor_locator(NullLocator())
                panel.set_ylabel(f"{UNITS[quantity]} (log scale)")
            else:
                from_zero([panel], drawn)
                panel.set_ylabel(UNITS[quantity])
            found.append(drawn)
        memory = found[0][found[0]["method"] == GROWING[1]].sort_values("epoch")
        style.reference_line(row[0], memory["mean"].iloc[0], "Budget, what it is at first")
        epoch_axis(row)
        heads.append(head(context, pd.concat(found), f"penalty ratio {here['ratio'].iloc[0]:g}"))
        shown += found
    entitle(grid, heads, tuple(BATCHES.values()))
    pages.finish(sheet, points=replicates.POINTS, spread=replicates.SPREAD)
    return Drawn(sheet, written(shown))


def progress(table: pd.DataFrame, context: Context) -> Drawn:
    """What goes on in a training, by epoch and penalty ratio, a row per study.

    The penalty's share of the loss, with the mean loss of an epoch and the penalty at its end; time
    of an epoch; bytes of gradients that a worker would exchange in it; and learning rate times
    lambda beside the bound below which channels that die stay dead. Draws from the table
    ``prunetrain_seconds`` too.
    """
    rows = shrinking(table, PRUNETRAIN)
    if rows.empty:
        raise nothing(context, "no network shrank by PruneTrain.")
    seconds = shrinking(context.tables["prunetrain_seconds"], PRUNETRAIN)
    names, looks = replicates.studies(rows, context), ratio_styles(rows["ratio"])
    sheet, grid = pages.grid(len(names), len(PROGRESS))
    shown, heads = [], []
    for row, study in zip(grid, names, strict=True):
        here, timed = (t[t["study"] == study] for t in (rows, seconds))
        found = _progress(here, timed)
        for panel, drawn in zip(row, found, strict=True):
            lines(panel, drawn, looks, "ratio")
            panel.set_ylabel(PROGRESS[drawn["quantity"].iloc[0]][1])
        for panel, drawn, least in zip(row[:3], found[:3], (0, 100, 0), strict=True):
            from_zero([panel], drawn, least=least)
        bound = summed(here, here["bound"], BOUND, (), tiny=True).drop_duplicates("mean")
        _stability_axis(row[3], found[3], bound)
        epoch_axis(row)
        heads.append(head(context, pd.concat(found)))
        shown += [*found, bound]
    entitle(grid, heads, [name for name, _ in PROGRESS.values()])
    pages.finish(sheet, points=replicates.POINTS, spread=replicates.SPREAD)
    return Drawn(sheet, written(shown))


# -- which rows ---------------------------------------------------------------------------------


def _intervals(here: pd.DataFrame, context: Context) -> pd.DataFrame:
    """Published training costs of the same network and data set, at both ends of intervals."""
    study, network, dataset = here[["study", "network", "dataset"]].iloc[0]
    source = context.option(study, "prunetrain_published")
    if source is None:
        return pd.DataFrame(columns=["ratio"], dtype=float)
    found = intervals_for(source, network, dataset, context.resources)
    ends = pd.concat([found.assign(epoch=found[end]) for end in ("first_epoch", "last_epoch")])
    cell = {"study": study, "method": PRUNETRAIN, "quantity": "training_macs"}
    ends = ends.rename(columns={"training_macs": "mean"}).assign(**cell, std=float("nan"))
    return ends.sort_values(["ratio", "epoch"], ignore_index=True)


def _progress(here: pd.DataFrame, timed: pd.DataFrame) -> list[pd.DataFrame]:
    sent = [communication(*row) for row in zip(timed["parameters"], timed["steps"], strict=True)]
    values = {
        "realised_ratio": 100 * here["penalty"] / (here["train_loss"] + here["penalty"]),
        "seconds": of_whole(timed),
        "bytes": pd.Series(sent, timed.index) / 1e6,
        # A rate of 0 is no place on a log axis, and far from every bound.
        "rate_times_strength": here["rate_times_strength"].where(here["rate_times_strength"] > 0),
    }
    tables = {"seconds": timed, "bytes": timed}
    return [
        summed(tables.get(name, here), values[name], name, tiny=name == "rate_times_strength")
        for name in PROGRESS
    ]


# -- drawing ------------------------------------------------------------------------------------


def _together(rows: Sequence[Sequence[Axes]], names: Collection[str]) -> list[Axes]:
    """As many panels as there are names, row by row; the others are taken away."""
    panels = [panel for row in rows for panel in row]
    for spare in panels[len(names) :]:
        spare.remove()
    return panels[: len(names)]


def _draw_intervals(panel: Axes, published: pd.DataFrame, looks: Mapping[float, Style]) -> None:
    for value in published["ratio"].unique():
        rows = published[published["ratio"] == value]
        look = replace(looks[value], line=PUBLISHED_LINE, label=f"{looks[value].label}, published")
        style.curve(panel, rows["epoch"], rows["mean"], look, marker="None", linewidth=0.9)


def _stability_axis(panel: Axes, drawn: pd.DataFrame, bounds: pd.DataFrame) -> None:
    """A log axis that holds what is drawn and the bounds."""
    panel.set_yscale("log")
    panel.yaxis.set_minor_locator(NullLocator())
    for bound in bounds["mean"]:
        style.reference_line(panel, bound, "Bound")
    low = (drawn["mean"] - drawn["std"].fillna(0)).where(lambda v: v > 0, drawn["mean"]).min()
    high = max((drawn["mean"] + drawn["std"].fillna(0)).max(), bounds["mean"].max())
    panel.set_ylim(low / 1.5, 1.5 * high)
