"""Figures of Ding et al. (2019), global sparse momentum SGD: passive decay, and test scores.

:mod:`pruning.systems.gsm.figures.curves` has what happens during training,
:mod:`pruning.systems.gsm.figures.weights` what becomes of layers and weights.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from pruning.analysis import replicates as summaries
from pruning.analysis.score import only
from pruning.figures import pages, replicates, style
from pruning.figures.context import Context, Drawn, nothing
from pruning.figures.replicates import Curve
from pruning.figures.style import Style
from pruning.systems.gsm import passive_decay as decay
from pruning.systems.gsm.published import published_for, same_density
from pruning.systems.gsm.tables import AFTER, BEFORE, around_zeroing
from pruning.training.metric import ACCURACY

KEYS = ("study", "network", "dataset", "method", "variant", "level", "density", "metric")
SOURCES = {"gsm2019": "Ding et al. 2019"}
MARKERS = 6  # on a line
SMALL = {1e-3: (0, (4, 2)), 1e-4: (0, (1, 1.2))}  # what counts as small when weights are counted
SLOT = 0.8  # of the place of a compression ratio, that its methods stand in
# Open markers are networks before zeroing, so these are of another kind. (Not "_": matplotlib's
# whiskers end in that.)
PUBLISHED_LOOK = {"linestyle": "none", "marker": "$-$", "markersize": 9, "markeredgewidth": 0.8}
SLOTS = "Within a ratio, methods stand beside each other in the order of the legend."
CROSSES = "Where a line dips, the weight passes through 0."
PASSIVE = (
    "β: momentum. Computed from the study's learning rates, weight decay and momenta: a weight "
    "that weight decay and momentum alone move, as GSM does with all that it has not selected."
)
# Which scores stand beside each other: method, and before or after zeroing where that matters.
SERIES = (
    ("gsm", BEFORE),
    ("gsm", AFTER),
    ("magnitude_without_retraining", AFTER),
    ("gsm_ticket", ""),
    ("magnitude_ticket", ""),
)


def passive_decay(curves: pd.DataFrame, context: Context) -> Drawn:
    """Size of a weight that begins at 1 and never has a gradient, by epoch (Fig. 1).

    A panel per study, a line for each momentum that it trains GSM with, under the learning rates
    of that training. Computed; of the table only steps and rates are taken. A study's option
    ``passive`` lists ``variant``, ``momentum``, ``weight_decay`` and ``nesterov``.
    """
    names = [study for study in context.titles if context.option(study, "passive")]
    tables = {study: _trajectories(curves, study, context.option(study, "passive"))
              for study in names}  # fmt: skip
    tables = {study: table for study, table in tables.items() if len(table)}
    if not tables:
        raise nothing(context, "no GSM training has both weight decay and a schedule.")
    table = pd.concat(tables.values(), ignore_index=True)
    looks = momentum_styles(table["momentum"])
    sheet, axes = pages.panels(len(tables))
    for panel, (study, mine) in zip(axes, tables.items(), strict=True):
        for (momentum, shrinking), rows in mine.groupby(["momentum", "weight_decay"]):
            own = shrinking == mine["weight_decay"].iloc[0]
            look = looks[momentum]
            if not own:
                look = replace(look, label=f"{look.label}, weight decay {shrinking:g}", line=":")
            style.curve(panel, rows["epoch"], rows["size"], look, markevery=_every(rows))
        for threshold, line in SMALL.items():
            label = f"Counted as small: below {threshold:g}"
            panel.axhline(threshold, color="0.45", linewidth=0.9, linestyle=line, label=label)
        panel.set_yscale("log")
        panel.set_ylim(0.5 * min(mine["size"].min(), *SMALL), 2)
        _whole_decades(panel)
        panel.set_xlim(0, mine["epoch"].max())
        panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        panel.set_xlabel("Epoch")
        panel.set_title(f"{context.title(study)}\nweight decay {mine['weight_decay'].iloc[0]:g}")
    for panel in axes[:: style.COLUMNS]:
        panel.set_ylabel("Size of the weight (log scale)")
    pages.share_y(axes)
    grows = (table.groupby(["study", "momentum", "weight_decay"])["size"].diff() > 0).any()
    pages.finish(sheet, note=f"{PASSIVE} {CROSSES}" if grows else PASSIVE, dashes=True)
    return Drawn(sheet, table)


def accuracy(tidy: pd.DataFrame, context: Context) -> Drawn:
    """Test score at each compression ratio, a panel per study (Tables 1, 2 and 4).

    A point is the mean over replicates, its bar one standard deviation to each side. Each ratio is
    a slot, in which methods stand beside each other; GSM before zeroing is open. A study's
    ``gsm_ylim`` sets the ends of its axis. Its ``gsm_published`` names a source in ``gsm.csv``
    whose accuracies lie over the study's as short bars.
    """
    table = _scores(tidy)
    pruned = summaries.pruned(table)
    if pruned.empty:
        raise nothing(context, "no networks were pruned by GSM or magnitude.")
    names = replicates.studies(pruned, context)
    present = set(zip(pruned["method"], pruned["zeroing"], strict=True))
    series = [one for one in SERIES if one in present]
    sheet, axes = pages.panels(len(names))
    shown = []
    for panel, study in zip(axes, names, strict=True):
        here = pruned[pruned["study"] == study]
        dense = table[(table["study"] == study) & (table["method"] == "dense")]
        published = _published(pd.concat([dense, here]), context)
        slots = _slots(panel, here["density"])
        curves, metric = _curves(here, published, series, slots), only(here["metric"])
        replicates.dense_band(panel, dense)
        for curve, theirs in curves:
            _draw_beside(panel, curve, theirs)
        _name_published(panel, published)
        both = [*(curve for pair in curves for curve in pair), *_dense_published(published)]
        replicates.limit(panel, both, dense, context.option(study, "gsm_ylim"), metric)
        panel.set_title(f"{context.title(study)} ({replicates.counts(here, dense)})")
        shown += [dense, here, published]
    label_rows(axes, [pruned[pruned["study"] == study] for study in names])
    pages.finish(sheet, points=replicates.POINTS, spread=replicates.SPREAD, note=SLOTS)
    return Drawn(sheet, written(shown, ("network", "dataset", "zeroing")))


def label_rows(axes: Sequence[Axes], shown: Sequence[pd.DataFrame]) -> None:
    """The score of what each panel shows, at the left of a row and where it changes."""
    metrics = [only(rows["metric"]) for rows in shown]
    for panel, metric in style.first_of_rows(axes, metrics):
        panel.set_ylabel(metric.axis)


def momentum_styles(momenta: Iterable[float]) -> dict[float, Style]:
    """A style for each momentum; its colour is the same in every figure."""
    momenta = sorted(set(momenta))
    remembered = -np.log10(1 - np.asarray(momenta, dtype=float))  # what changes the decay
    places = np.interp(remembered, [0, 1, 2, 3], [0, 0.25, 0.95, 1])
    labels = [f"β = {momentum:g}" for momentum in momenta]
    return dict(zip(momenta, style.sequential(labels, list(places)), strict=True))


def by_level(rows: pd.DataFrame, context: Context) -> list[pd.DataFrame]:
    """The rows of each study and level, in the order of figures."""
    order = replicates.studies(rows, context)
    groups = sorted(rows.groupby(["study", "level"]), key=lambda g: (order.index(g[0][0]), g[0][1]))
    return [group for _, group in groups]


def at_ratio(rows: pd.DataFrame, context: Context) -> str:
    """The title of a panel that shows one level of a study."""
    study, density = rows[["study", "density"]].iloc[0]
    what = f"{style.ratio(1 / density)} ({replicates.counts(rows)})"
    return style.title(context.title(study), what)


def written(tables: Sequence[pd.DataFrame], more: Sequence[str]) -> pd.DataFrame:
    """The numbers of a figure; all was pruned after training, so that is not said."""
    return replicates.written(tables, more).drop(columns="pruned_at")


# -- which rows ---------------------------------------------------------------------------------


def _trajectories(
    curves: pd.DataFrame, study: str, trainings: Iterable[Mapping[str, Any]]
) -> pd.DataFrame:
    """Of each training that differs from those before it, the size of a weight after each epoch."""
    mine = curves[(curves["study"] == study) & (curves["method"] == "gsm")]
    found: dict[tuple, pd.DataFrame] = {}
    for training in trainings:
        rows = mine[mine["variant"] == training["variant"]]
        key = tuple(training[name] for name in ("momentum", "weight_decay", "nesterov"))
        if rows.empty or key in found or not training["weight_decay"] > 0:
            continue
        first = rows[(rows["level"] == rows["level"].min()) & (rows["seed"] == rows["seed"].min())]
        found[key] = _trajectory(first.sort_values("step"), training).assign(study=study)
    return pd.concat(found.values(), ignore_index=True) if found else pd.DataFrame()


def _trajectory(epochs: pd.DataFrame, training: Mapping[str, Any]) -> pd.DataFrame:
    """The rate of an epoch is the one at its end, so warm-up is taken to be stepwise."""
    steps = epochs["step"].to_numpy(dtype=int)
    rates = np.repeat(epochs["learning_rate"].to_numpy(dtype=float), np.diff(steps, prepend=0))
    sizes = decay.scheduled(
        training["momentum"], rates, training["weight_decay"], nesterov=training["nesterov"]
    )
    at = np.concatenate([[0], steps])
    return pd.DataFrame(
        {
            "momentum": training["momentum"],
            "weight_decay": training["weight_decay"],
            "nesterov": training["nesterov"],
            "learning_rate": np.concatenate([rates[:1], epochs["learning_rate"]]),
            "epoch": np.concatenate([[0.0], epochs["epoch"]]),
            "step": at,
            "size": np.abs(sizes[at]),
        }
    )


def _scores(tidy: pd.DataFrame) -> pd.DataFrame:
    """Mean, deviation and number of test scores as they are shown, of each series and dense."""
    rows = around_zeroing(tidy)
    rows = rows[(rows["method"] == "dense") | (rows["variant"] == "unmodified")]
    rows = rows.assign(variant=rows["variant"].astype(object).fillna(""))
    zeroed = {method for method, zeroing in SERIES if zeroing}
    rows.loc[~rows["method"].isin(zeroed), "zeroing"] = ""
    table = summaries.summed_up(rows, "value", [*KEYS, "zeroing"])
    wanted = {("dense", ""), *SERIES}
    found = zip(table["method"], table["zeroing"], strict=True)
    return table[[one in wanted for one in found]]


def _published(here: pd.DataFrame, context: Context) -> pd.DataFrame:
    """Published accuracies of the methods and at the densities that a study has."""
    study, network, dataset = here[["study", "network", "dataset"]].iloc[0]
    source = context.option(study, "gsm_published")
    if source is None or only(here["metric"]) != ACCURACY:
        return here.iloc[:0]
    table = published_for(source, network, dataset, context.resources)
    ours = here.loc[here["zeroing"] != BEFORE, [*KEYS, "zeroing"]]
    pairs = ours.merge(
        table[["source", "method", "density", "accuracy"]], on="method", suffixes=("", "_theirs")
    )
    pairs = pairs[same_density(pairs["density_theirs"], pairs["density"])]
    pairs = pairs.rename(columns={"accuracy": "mean"}).drop(columns="density_theirs")
    # A dense network may be published once for every ratio it was pruned to.
    return pairs.dropna(subset="mean").drop_duplicates(ignore_index=True)


def _curves(
    here: pd.DataFrame,
    published: pd.DataFrame,
    series: Sequence[tuple[str, str]],
    slots: Mapping[float, int],
) -> list[tuple[Curve, Curve]]:
    """Ours and what is published of each series, with the place of each point in ``x``."""
    pairs = []
    for place, (method, zeroing) in enumerate(series):
        look = style.method_style(method, [method])
        if zeroing == BEFORE:
            look = replace(look, label=f"{look.label}, before zeroing")
        shift = (place - (len(series) - 1) / 2) * SLOT / len(series)
        ours, theirs = (
            table[(table["method"] == method) & (table["zeroing"] == zeroing)]
            .sort_values("density", ascending=False)
            .assign(x=lambda rows, shift=shift: rows["density"].map(slots) + shift)
            for table in (here, published)
        )
        theirs = theirs.assign(std=float("nan"))
        pairs.append((Curve(look, ours, open=zeroing == BEFORE), Curve(look, theirs)))
    return pairs


def _dense_published(published: pd.DataFrame) -> list[Curve]:
    rows = published[published["method"] == "dense"].assign(std=float("nan"))
    return [Curve(Style("Dense", "0.45", "None"), rows)] if len(rows) else []


# -- drawing ------------------------------------------------------------------------------------


def _whole_decades(panel: Axes) -> None:
    """Ticks at some powers of ten and none between."""
    panel.yaxis.set_major_locator(LogLocator(numticks=6))
    panel.yaxis.set_minor_locator(NullLocator())


def _every(rows: pd.DataFrame) -> int:
    return max(1, len(rows) // MARKERS)


def _slots(panel: Axes, densities: pd.Series) -> dict[float, int]:
    """An axis with a place for each compression ratio, which is not to scale; those places."""
    slots = {density: place for place, density in enumerate(sorted(set(densities), reverse=True))}
    panel.set_xticks(list(slots.values()), [style.ratio(1 / density) for density in slots])
    panel.tick_params(axis="x", length=0)
    room = 0.5 if len(slots) > 1 else 1.0  # methods of a single ratio are still beside each other
    panel.set_xlim(-room, len(slots) - 1 + room)
    for place in range(1, len(slots)):
        panel.axvline(place - 0.5, color="0.7", linewidth=0.7, zorder=0.5)
    panel.grid(axis="x", visible=False)
    panel.set_xlabel("Compression ratio (not to scale)")
    return slots


def _draw_beside(panel: Axes, ours: Curve, theirs: Curve) -> None:
    if len(ours.rows):
        rows = ours.rows
        bars = None if rows["std"].isna().all() else rows["std"]
        more = {"linestyle": "none"}
        if ours.open:
            edge = style.color(ours.look)
            more |= {"markerfacecolor": "white", "markeredgecolor": edge, "markeredgewidth": 0.8}
        style.curve(panel, rows["x"], rows["mean"], ours.look, bars, **more)
    if len(theirs.rows):
        rows = theirs.rows
        panel.plot(rows["x"], rows["mean"], color=style.color(theirs.look), **PUBLISHED_LOOK)


def _name_published(panel: Axes, published: pd.DataFrame) -> None:
    if published.empty:
        return
    source = published["source"].iloc[0]
    name = SOURCES.get(source, source)
    panel.plot([], [], color="0.35", label=f"Published ({name})", **PUBLISHED_LOOK)
    for value in published.loc[published["method"] == "dense", "mean"]:
        look = {"color": "0.45", "linewidth": 0.9, "linestyle": ":", "zorder": 1}
        panel.axhline(value, label=f"Dense, published ({name})", **look)
