"""Figures of Lym et al. (2019) about scores and what they cost: by method, by variant, as a table.

Means over replicates, bars one standard deviation to each side. Costs of these figures are of the
tidy table, where training is counted as three forward passes; the table of results counts it as
the authors do, as published numbers are.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from pruning.analysis import replicates as summaries
from pruning.analysis.score import only, scored
from pruning.analysis.score import shown as as_shown
from pruning.figures import pages, replicates, style
from pruning.figures.context import Context, Drawn, nothing
from pruning.figures.style import Style
from pruning.systems.prunetrain.figures.panels import (
    entitle,
    head,
    method_styles,
    ratio_styles,
)
from pruning.systems.prunetrain.published import published_for
from pruning.systems.prunetrain.rules import FINE_TUNED, METHODS, UNMODIFIED
from pruning.training.metric import ACCURACY

CELL = ("study", "network", "dataset", "method", "variant", "level", "metric")
COSTS = {"inference_macs": "Inference MACs", "training_macs": "Training MACs, in total"}
VARIANTS = {"": "", UNMODIFIED: "", FINE_TUNED: ", fine-tuned"}
COMPARED = ("prunetrain", "prunetrain_one_time", "train_then_prune")
PUBLISHED_LOOK = {
    "linestyle": "none",
    "marker": "*",
    "markersize": 7,
    "color": "0.25",
    "markeredgewidth": 0.7,
}


def accuracy(table: pd.DataFrame, context: Context) -> Drawn:
    """Test score by MACs of inference and by MACs spent on training, a row per study.

    Both in percent of the dense network's and its training's. Points of a line are levels; bars are
    one standard deviation in both directions, fine-tuned networks are open. Stars are what was
    published of the same network and data set, where the study's ``prunetrain_published`` names a
    source.
    """
    rows = _costed(table)
    names = replicates.studies(summaries.pruned(rows), context)
    if not names:
        raise nothing(context, "no network shrank while it trained.")
    sheet, grid = pages.grid(len(names), len(COSTS))
    shown, heads = [], []
    for row, study in zip(grid, names, strict=True):
        here = rows[rows["study"] == study]
        means, published = _summed(here), published_accuracies(here, context)
        published = published.dropna(subset="mean")
        metric = only(here["metric"])
        dense = means[means["method"] == "dense"]
        for panel, cost in zip(row, COSTS, strict=True):
            if means[cost].isna().all():
                _say_untrained(panel)
                continue
            _draw_by_cost(panel, means, published, cost)
            replicates.dense_band(panel, dense)
            panel.set_ylim(*replicates.around(pd.concat([means, published]), metric))
            panel.set_xlabel(_cost_axis(here, cost))
        row[0].set_ylabel(metric.axis)
        heads.append(head(context, means))
        shown += [means, published]
    entitle(grid, heads, tuple(COSTS.values()))
    pages.finish(sheet, points=replicates.POINTS, spread=replicates.SPREAD, dashes=True)
    return Drawn(sheet, _written(shown))


def variants(table: pd.DataFrame, context: Context) -> Drawn:
    """Test score and MACs of PruneTrain, of cutting once, and of pruning what was trained.

    A row of panels per study, of the levels at which it has all of these methods that it has at
    all; a line of a panel per method and variant, a marker per penalty ratio. MACs are in percent
    of the dense network's and its training's. Draws from the table ``prunetrain_epochs`` too.
    """
    rows = _costed(table)
    dense = rows[rows["method"] == "dense"]
    rows = rows[rows["method"].isin(COMPARED)]
    found = {s: _shared(rows[rows["study"] == s]) for s in replicates.studies(rows, context)}
    found = {study: here for study, here in found.items() if here["method"].nunique() > 1}
    if not found:
        raise nothing(context, "no penalty ratio has both PruneTrain and another way to prune.")
    ratios = context.tables["prunetrain_epochs"].dropna(subset="ratio")
    ratios = ratios.groupby(["study", "level"])["ratio"].first().rename("ratio")
    found = {study: here.join(ratios, on=["study", "level"]) for study, here in found.items()}
    looks = ratio_styles(pd.concat(found.values())["ratio"])
    sheet, grid = pages.grid(len(found), 1 + len(COSTS))
    shown, heads = [], []
    for row, (study, here) in zip(grid, found.items(), strict=True):
        means = _summed(here, "ratio")
        unpruned = _summed(dense[dense["study"] == study].assign(ratio=float("nan")), "ratio")
        for panel, quantity in zip(row, ("mean", *COSTS), strict=True):
            if means[quantity].isna().all():
                _say_untrained(panel)
                continue
            _draw_variants(panel, means, looks, quantity, named=panel is row[0])
            reference = unpruned[_columns(quantity)[0]].iloc[0]
            panel.axvline(reference, color="0.45", linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
        row[0].plot([], [], color="0.45", linewidth=0.9, linestyle=(0, (4, 2)), label="Dense")
        row[0].set_xlabel(only(here["metric"]).axis)
        for panel, cost in zip(row[1:], COSTS, strict=True):
            if means[cost].notna().any():
                panel.set_xlabel(_cost_axis(here, cost))
        heads.append(head(context, means))
        shown += [
            unpruned.assign(std=float("nan"), **dict.fromkeys(_spreads(), float("nan"))),
            means,
        ]
    entitle(grid, heads, ("Score", *COSTS.values()))
    pages.finish(sheet, points=replicates.POINTS, spread=replicates.SPREAD)
    return Drawn(sheet, _written(shown, "ratio"))


# -- which rows ---------------------------------------------------------------------------------


def _costed(table: pd.DataFrame) -> pd.DataFrame:
    """Test scores as they are shown, with costs in percent of the study's dense networks'.

    Training costs nothing can be compared with where that network is from a file.
    """
    rows = scored(table)
    rows = rows[rows["method"].isin(["dense", *METHODS])]
    rows = rows.assign(
        value=as_shown(rows["value"], rows["metric"]),
        variant=rows["variant"].astype(object).fillna(""),
    )
    dense = rows[rows["method"] == "dense"].groupby("study")[["macs", "training_macs"]].mean()
    whole = rows[["study"]].join(dense.where(dense > 0), on="study")
    return rows.assign(
        inference_macs=100 * rows["macs"] / whole["macs"],
        training_macs=100 * rows["training_macs"] / whole["training_macs"],
    )


def _summed(rows: pd.DataFrame, *more: str) -> pd.DataFrame:
    """Mean, deviation and number of scores and costs over replicates, of each cell."""
    keys = [*CELL, *more]
    table = summaries.summed_up(rows, "value", keys)
    for cost in COSTS:
        found = summaries.summed_up(rows, cost, keys)
        table = table.assign(**{cost: found["mean"], f"{cost}_std": found["std"]})
    return table


def _shared(here: pd.DataFrame) -> pd.DataFrame:
    """The rows at levels at which a study has PruneTrain and all others of these that it has."""
    unmodified = here[here["variant"] == UNMODIFIED].groupby("method")["level"].agg(set)
    if "prunetrain" not in unmodified:
        return here.iloc[:0]
    others = {m: levels & unmodified["prunetrain"] for m, levels in unmodified.items()}
    levels = set.intersection(*(levels for levels in others.values() if levels))
    return here[here["level"].isin(levels)]


def published_accuracies(here: pd.DataFrame, context: Context) -> pd.DataFrame:
    """Published numbers of a study's network and data set, where it asks for them.

    ``mean`` is the accuracy, which may be missing; costs are percentages that are left.
    """
    study, network, dataset = here[["study", "network", "dataset"]].iloc[0]
    source = context.option(study, "prunetrain_published")
    if source is None or only(here["metric"]) != ACCURACY:
        return pd.DataFrame(columns=["variant", "mean", "std", *COSTS], dtype=float)
    rows = published_for(source, network, dataset, context.resources)
    same = (rows["network"] == network) & (rows["dataset"] == dataset)
    rows = rows[same].rename(columns={"accuracy": "mean"})
    return rows.assign(study=study, metric=ACCURACY.name, std=float("nan"))


def _written(tables: list[pd.DataFrame], *more: str) -> pd.DataFrame:
    table = pd.concat([table for table in tables if len(table)], ignore_index=True)
    source = table["source"] if "source" in table else pd.Series(index=table.index, dtype=object)
    costs = [name for cost in COSTS for name in (cost, f"{cost}_std")]
    columns = ["source", *CELL, *more, "mean", "std", "n", *costs, "trust"]
    table = table.assign(source=source.fillna("study"))
    return table[[column for column in columns if column in table]]


def _columns(quantity: str) -> tuple[str, str]:
    """The columns of its mean and of its deviation."""
    return (quantity, "std" if quantity == "mean" else f"{quantity}_std")


def _spreads() -> list[str]:
    return [_columns(cost)[1] for cost in COSTS]


# -- drawing ------------------------------------------------------------------------------------


def _cost_axis(here: pd.DataFrame, cost: str) -> str:
    """What a cost is a percentage of; how long both train where that differs."""
    dense = here["training_time"].iloc[0]
    own = here.loc[here["variant"] == UNMODIFIED, "retrain_time"].iloc[0]
    label = "% of dense"
    if cost == "inference_macs" or dense == own:
        return label
    return f"{label}\n(dense {dense:g} epochs, these {own:g})"


def _say_untrained(panel: Axes) -> None:
    """Instead of costs in percent of a training that there was not."""
    panel.set_xticks([])
    panel.grid(visible=False)
    panel.text(
        0.5, 0.5, "The dense network is\nfrom a file, its training\nis not known",
        ha="center", va="center", transform=panel.transAxes,
    )  # fmt: skip


def _draw_by_cost(panel: Axes, means: pd.DataFrame, published: pd.DataFrame, cost: str) -> None:
    for method, look in method_styles(summaries.pruned(means)["method"]).items():
        for variant, note in VARIANTS.items():
            mine = means[(means["method"] == method) & (means["variant"] == variant)]
            if mine.empty:
                continue
            named = replace(look, label=f"{look.label}{note}")
            _curve(panel, mine.sort_values("level"), named, cost, hollow=variant == FINE_TUNED)
    for variant in (UNMODIFIED, FINE_TUNED):
        theirs = published[published["variant"] == variant].dropna(subset=cost)
        if len(theirs):
            label = f"Published (Lym et al. 2019){VARIANTS[variant]}"
            face = {"markerfacecolor": "white"} if variant == FINE_TUNED else {}
            more = {"label": label, "zorder": 4, **PUBLISHED_LOOK, **face}
            panel.plot(theirs[cost], theirs["mean"], **more)
    places = pd.concat([means[cost], published[cost]])
    spread = means[f"{cost}_std"].fillna(0)
    low, high = (means[cost] - spread).min(), (means[cost] + spread).max()
    low, high = min(low, places.min()), max(high, places.max(), 100)
    panel.set_xlim(low - 0.06 * (high - low), high + 0.06 * (high - low))


def _curve(panel: Axes, rows: pd.DataFrame, look: Style, cost: str, *, hollow: bool) -> None:
    more: dict[str, Any] = {}
    if hollow:
        more = {
            "markerfacecolor": "white",
            "markeredgecolor": style.color(look),
            "markeredgewidth": 0.8,
            "linestyle": (0, (3, 1.2)),
        }
    if rows[f"{cost}_std"].notna().any():
        more["xerr"] = rows[f"{cost}_std"]
    bars = rows["std"] if rows["std"].notna().any() else None
    style.curve(panel, rows[cost], rows["mean"], look, bars, **more)


def _draw_variants(
    panel: Axes, means: pd.DataFrame, looks: Mapping[float, Style], quantity: str, *, named: bool
) -> None:
    """A line for each method and variant, PruneTrain on top, with a marker for each ratio."""
    styles = method_styles(means["method"])
    series = [
        (method, variant)
        for method in COMPARED
        for variant in (UNMODIFIED, FINE_TUNED)
        if ((means["method"] == method) & (means["variant"] == variant)).any()
    ]
    value, spread = _columns(quantity)
    for ratio, look in looks.items():
        rows = means[means["ratio"] == ratio]
        at = [-series.index(pair) for pair in zip(rows["method"], rows["variant"], strict=True)]
        bars = {"xerr": rows[spread]} if rows[spread].notna().any() else {}
        style.curve(panel, rows[value], at, replace(look, line="none"), **bars)
    labels = [f"{styles[method].label}{VARIANTS[variant]}" for method, variant in series]
    panel.set_yticks(
        [-place for place in range(len(series))], labels if named else [""] * len(labels)
    )
    panel.set_ylim(0.6 - len(series), 0.6)
    panel.margins(x=0.12)
    panel.grid(axis="y", visible=False)
