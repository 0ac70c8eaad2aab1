"""Figures of Ding et al. (2019), global sparse momentum SGD: passive decay, and test scores.

:mod:`pruning.systems.gsm.figures.curves` has what happens during training,
:mod:`pruning.systems.gsm.figures.weights` what becomes of layers and weights.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pruning.analysis import replicates as summaries
from pruning.analysis.score import only
from pruning.figures import pages, replicates, style
from pruning.figures.context import Context, Drawn, nothing
from pruning.figures.replicates import Curve
from pruning.figures.style import Style
from pruning.systems.gsm import passive_decay as decay
from pruning.systems.gsm.published import published_for, same_density
from pruning.systems.gsm.tables import AFTER, BEFORE, around_zeroing
from pruning.training.metric import ACCURACY, Metric

KEYS = ("study", "network", "dataset", "method", "variant", "level", "density", "metric")
SOURCES = {"gsm2019": "Ding et al. 2019"}
POINTS = 400  # of a trajectory that are drawn
SMALL = (1e-3, 1e-4)  # what counts as small when weights are counted
BESIDE = 0.12  # distance of two methods, in parts of that of two compression ratios
FEW = 2  # points, between which a line would say nothing
# Open markers are networks before zeroing, so these are of another kind.
PUBLISHED_LOOK = {"linestyle": "none", "marker": "_", "markersize": 9, "markeredgewidth": 1.1}
# Which scores stand beside each other: method, and before or after zeroing where that matters.
SERIES = (
    ("gsm", BEFORE),
    ("gsm", AFTER),
    ("magnitude_without_retraining", AFTER),
    ("gsm_ticket", ""),
    ("magnitude_ticket", ""),
)


def passive_decay(tidy: pd.DataFrame, context: Context) -> Drawn:
    """Size of a weight that only gets passive updates, by iteration and momentum (Fig. 1).

    No study is in it. Settings: ``learning_rate``, ``weight_decay``, ``momenta``, ``iterations``.
    """
    alpha, eta = context.settings["learning_rate"], context.settings["weight_decay"]
    looks = momentum_styles(context.settings["momenta"])
    table = _trajectories(looks, alpha, eta, context.settings["iterations"])
    sheet, (linear, log) = pages.panels(2)
    for panel in (linear, log):
        for place, (momentum, look) in enumerate(looks.items()):
            rows = table[table["momentum"] == momentum]
            more = {"markevery": (POINTS // 16 + 6 * place, POINTS // 5)}
            style.curve(panel, rows["iteration"], rows["size"], look, **more)
        panel.set_xlim(0, table["iteration"].max())
        panel.xaxis.set_major_locator(MaxNLocator(4))
        panel.set_xlabel("Passive updates")
    linear.set_ylim(0, 1.04)
    linear.set_ylabel("|w|")
    linear.set_title(f"Learning rate {alpha:g}, weight decay {eta:g}")
    log.set_yscale("log")
    log.set_ylim(10 ** np.floor(np.log10(table["size"].min())), 1.5)
    log.set_title("The same, logarithmic")
    for threshold in SMALL:
        style.reference_line(log, threshold, None)
    pages.finish(sheet)
    return Drawn(sheet, table)


def accuracy(tidy: pd.DataFrame, context: Context) -> Drawn:
    """Test score by compression ratio, a panel per study (Tables 1, 2 and 4).

    A point is the mean over replicates, its bar one standard deviation to each side. Methods stand
    beside each other at each ratio; GSM before zeroing is open. A study's ``gsm_ylim`` sets the
    ends of its axis; what is worse is marked at that edge. Its ``gsm_published`` names a
    source in ``gsm.csv`` whose accuracies lie over the study's as short bars.
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
        curves, metric = _curves(here, published, series), only(here["metric"])
        replicates.dense_band(panel, dense)
        _ratio_axis(panel, here["density"])
        both = [curve for pair in curves for curve in pair]
        replicates.limit(panel, both, dense, context.option(study, "gsm_ylim"), metric)
        for curve, theirs in curves:
            _draw_beside(panel, curve, theirs, metric)
        _name_published(panel, published)
        panel.set_title(f"{context.title(study)} ({replicates.counts(here, dense)})")
        shown += [dense, here, published]
    label_rows(axes, [pruned[pruned["study"] == study] for study in names])
    pages.finish(sheet, dashes=True)
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
    places = np.interp(remembered, [0, 1, 2, 3], [0, 0.3, 0.85, 1])
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
    momenta: Iterable[float], alpha: float, eta: float, iterations: int
) -> pd.DataFrame:
    shown = np.unique(np.linspace(0, iterations, POINTS + 1).round().astype(int))
    tables = [
        pd.DataFrame(
            {
                "momentum": momentum,
                "learning_rate": alpha,
                "weight_decay": eta,
                "iteration": shown,
                "size": np.abs(decay.trajectory(momentum, alpha, eta, iterations)[shown]),
            }
        )
        for momentum in momenta
    ]
    return pd.concat(tables, ignore_index=True)


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
    here: pd.DataFrame, published: pd.DataFrame, series: Sequence[tuple[str, str]]
) -> list[tuple[Curve, Curve]]:
    """Ours and what is published of each series, with the place of each point in ``x``."""
    pairs = []
    gap = _least_gap(here["density"])
    for place, (method, zeroing) in enumerate(series):
        look = style.method_style(method, [method])
        if zeroing == BEFORE:
            look = replace(look, label=f"{look.label}, before zeroing", line=(0, (1, 1.2)))
        shift = np.exp(-(place - (len(series) - 1) / 2) * BESIDE * gap)
        ours, theirs = (
            table[(table["method"] == method) & (table["zeroing"] == zeroing)]
            .sort_values("density", ascending=False)
            .assign(x=lambda rows, shift=shift: rows["density"] * shift)
            for table in (here, published)
        )
        # Without retraining an axis down to it would show nothing else.
        main = method != "magnitude_without_retraining"
        pairs.append(
            (
                Curve(look, ours, main=main and len(ours) > 0, open=zeroing == BEFORE),
                Curve(look, theirs, main=main and len(theirs) > 0),
            )
        )
    return pairs


def _least_gap(densities: Iterable[float]) -> float:
    """Between two densities that are next to each other, in natural logarithms."""
    found = np.sort(np.log(pd.unique(pd.Series(densities))))
    return float(np.diff(found).min()) if len(found) > 1 else 1.0


# -- drawing ------------------------------------------------------------------------------------


def _ratio_axis(panel: Axes, densities: pd.Series) -> None:
    """Compression ratios on a log axis, with room for all methods at the first and the last."""
    style.compression_axis(panel, densities.tolist())
    room = np.exp(0.5 * _least_gap(densities))
    panel.set_xlim(densities.max() * room, densities.min() / room)
    panel.grid(axis="x", visible=False)


def _draw_beside(panel: Axes, ours: Curve, theirs: Curve, metric: Metric) -> None:
    outside: Counter[str] = Counter()
    if len(ours.rows):
        rows = ours.rows
        bars = None if rows["std"].isna().all() else rows["std"]
        more = {"linewidth": 0.6, "linestyle": ours.look.line if len(rows) > FEW else "none"}
        if ours.open:
            edge = style.color(ours.look)
            more |= {"markerfacecolor": "white", "markeredgecolor": edge, "markeredgewidth": 0.8}
        style.curve(panel, rows["x"], rows["mean"], ours.look, bars, **more)
        replicates.mark_outside(panel, ours, rows["x"], outside, metric)
    if len(theirs.rows):
        rows = theirs.rows
        panel.plot(rows["x"], rows["mean"], color=style.color(theirs.look), **PUBLISHED_LOOK)
        replicates.mark_outside(panel, theirs, rows["x"], outside, metric, hollow=True)


def _name_published(panel: Axes, published: pd.DataFrame) -> None:
    if published.empty:
        return
    source = published["source"].iloc[0]
    name = SOURCES.get(source, source)
    panel.plot([], [], color="0.35", label=f"Published ({name})", **PUBLISHED_LOOK)
    for value in published.loc[published["method"] == "dense", "mean"]:
        look = {"color": "0.45", "linewidth": 0.9, "linestyle": ":", "zorder": 1}
        panel.axhline(value, label=f"Dense, published ({name})", **look)
