"""Figures of Sreenivasan et al. (2022): scores before and after training, by what is kept."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from pruning.analysis.score import only
from pruning.figures import pages, replicates, style
from pruning.figures.context import Context, Drawn, nothing
from pruning.figures.replicates import Curve
from pruning.figures.style import Style
from pruning.systems.gem_miner.published import published_for
from pruning.systems.gem_miner.rules import METHODS, UNMODIFIED
from pruning.systems.gem_miner.styles import OTHERS, SPARE_COLORS, SPARE_MARKERS, STYLES
from pruning.systems.gem_miner.tables import (
    AFTER,
    BEFORE,
    OWN,
    SEARCHED,
    apart,
    compared,
    summed_up,
)
from pruning.training.metric import ACCURACY, Metric

CHECKS = {  # of what was found: variant, or the method that searches anew
    "unmodified": Style("Gem-Miner", 0, "o"),
    "shuffled": Style("Mask shuffled in layers", 9, "s", (0, (4, 1.5))),
    "reinitialized": Style("Reinitialized", 5, "^", (0, (1, 1.2))),
    "reinitialized_kaiming": Style("Reinitialized, He normal", 6, "D", (0, (1, 1.2))),
    "inverted": Style("Scores inverted", 3, "v", (0, (4, 1.2, 1, 1.2))),
}
FAMILY = (
    "edge_popup",
    "global_edge_popup",
    "global_edge_popup_gradual",
    "global_edge_popup_gradual_regularized",
    "gem_miner",
)
MORE = ("network", "dataset", "metric", "moment", "aimed")
LAST_LINE = (0, (1, 1.2))
LAST_SCORES = "By the last scores' mask"
NOTHING_FOUND = "Nothing found, no weight left"
SAME = 1.02  # ratio of two densities up to which they are the same, but for rounding
NEAR = 1.5  # ratio of two densities up to which they are called about the same


def accuracy(tidy: pd.DataFrame, context: Context) -> Drawn:
    """Score after training by what is kept, a panel per study (Fig. 3, top).

    Means over replicates, bars one standard deviation to each side. Densities are those that were
    really reached.
    """
    table = summed_up(compared(tidy))
    wanted = table[(table["moment"] == AFTER) & table["variant"].isin((UNMODIFIED, ""))]
    wanted = wanted[wanted["method"] != "gem_miner_inverted"]
    return _by_density(wanted, context, _methods, AFTER)


def sanity(tidy: pd.DataFrame, context: Context) -> Drawn:
    """Score after training of what Gem-Miner found, and of it spoiled (Fig. 3, bottom).

    A panel per study; means over replicates, bars one standard deviation to each side.
    """
    table = summed_up(compared(tidy))
    table = table[table["moment"] == AFTER]
    inverted = table[table["method"] == "gem_miner_inverted"].assign(
        variant="inverted", method="gem_miner"
    )
    table = pd.concat([table[table["method"] != "gem_miner_inverted"], inverted])
    mine = (table["method"] == "gem_miner") & table["variant"].isin(CHECKS)
    return _by_density(table[mine | (table["method"] == "dense")], context, _checks, AFTER)


def before(tidy: pd.DataFrame, context: Context) -> Drawn:
    """Score before anything is trained, by what is kept, a panel per study (Fig. 6).

    Under the mask that is trained next; dotted and open, under the mask of the search's last
    scores, where the two differ.
    """
    table = summed_up(compared(tidy))
    wanted = table[table["moment"].isin((BEFORE, SEARCHED)) & (table["variant"] == UNMODIFIED)]
    wanted = wanted[wanted["method"].isin(OWN) & (wanted["method"] != "gem_miner_inverted")]
    return _by_density(wanted, context, _moments, BEFORE)


def family(tidy: pd.DataFrame, context: Context) -> Drawn:
    """Score before (open) and after training, of Edge-Popup's family and Gem-Miner (Table 3).

    At the sparsest density of each study, a panel each; bars are one standard deviation. Short
    bars across are published, where the study's ``gem_miner_published`` names a source.
    """
    table = summed_up(compared(tidy))
    table = table[table["method"].isin(FAMILY) & (table["variant"] == UNMODIFIED)]
    table = table[table["moment"] != SEARCHED]
    names = replicates.studies(table, context)
    if not names:
        raise nothing(context, "nothing was found by Edge-Popup or Gem-Miner.")
    sheet, axes = pages.panels(len(names))
    shown = []
    for panel, study in zip(axes, names, strict=True):
        here = table[table["study"] == study]
        here = here[here["level"] == here["level"].max()]
        published = _published(here, context, AFTER, BEFORE)
        published = published[apart(published["density"], here["aimed"].iloc[0]) <= SAME]
        _rows_of_methods(panel, here, published)
        what = f"{100 * here['aimed'].iloc[0]:g} % kept ({replicates.counts(here)})"
        # To the left there is room: names of methods stand there.
        panel.set_title(f"{context.title(study)}\n{what}", loc="right")
        panel.set_xlabel(only(here["metric"]).axis)
        shown += [here, published]
    pages.finish(sheet, points=replicates.POINTS, spread=replicates.SPREAD)
    return Drawn(sheet, replicates.written(shown, MORE))


def budget(tidy: pd.DataFrame, context: Context) -> Drawn:
    """Score by the optimizer steps spent to find and to train a network (Table 4).

    A panel per study; of every method the network whose density is nearest to the sparsest one at
    which every method searched, if neither is half as dense again as the other. Steps count the
    dense training where a method needs one, searches and every earlier level.
    """
    table = summed_up(compared(tidy))
    wanted = table[(table["moment"] == AFTER) & table["variant"].isin((UNMODIFIED, ""))]
    wanted = wanted[wanted["method"] != "gem_miner_inverted"]
    names = replicates.studies(wanted[wanted["method"].isin(METHODS)], context)
    if not names:
        raise nothing(context, "no network was searched.")
    sheet, axes = pages.panels(len(names))
    shown = []
    for panel, study in zip(axes, names, strict=True):
        here = wanted[wanted["study"] == study]
        searched = here[here["method"].isin(METHODS)]
        aim = searched.groupby("method")["aimed"].min().max()
        rows = _nearest(here[here["method"] != "dense"], aim)
        order, ticks = _order(rows["method"]), _apart(rows["training_steps"])
        for method in order:
            row = rows[rows["method"] == method]
            bars = None if row["std"].isna().all() else row["std"]
            look = replace(_look(method), line="none")
            at = style.dodged(
                row["training_steps"], order.index(method), len(order), log=True, ticks=ticks
            )
            style.curve(panel, at, row["mean"], look, bars)
        dense = here[here["method"] == "dense"]
        replicates.dense_band(panel, dense)
        _steps_axis(panel, ticks)
        if not dense["training_steps"].all():  # it is from a file
            panel.set_xlabel("Optimizer steps, without those of\nthe dense network (log scale)")
        what = f"about {100 * aim:g} % kept ({replicates.counts(rows, dense)})"
        panel.set_title(style.title(context.title(study), what))
        panel.set_ylabel(only(here["metric"]).axis)
        panel.margins(0.12)
        shown += [dense, rows]
    pages.finish(sheet, points=replicates.POINTS, spread=replicates.SPREAD)
    return Drawn(sheet, replicates.written(shown, (*MORE, "training_steps")))


def _apart(steps: pd.Series) -> list[float]:
    """Each number of steps that is far enough from the one before for a tick of its own."""
    shown: list[float] = []
    for value in sorted(steps.unique()):
        if not shown or value > shown[-1] * (steps.max() / steps.min()) ** 0.16:
            shown.append(value)
    return shown


def _steps_axis(panel: Axes, shown: Sequence[float]) -> None:
    """A log axis with these ticks."""
    panel.set_xscale("log")
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_xticks(shown, [f"{value:,.0f}" for value in shown])
    panel.set_xlabel("Optimizer steps, everything counted\n(log scale)")


# -- curves by density --------------------------------------------------------------------------


def _by_density(
    table: pd.DataFrame,
    context: Context,
    curves_of: Callable[[pd.DataFrame], list[Curve]],
    moment: str,
) -> Drawn:
    pruned = table[table["method"] != "dense"]
    empty = pruned["density"] == 0
    # What keeps nothing has no place on a log axis: a cross stands where it was to be.
    pruned = pruned.assign(density=pruned["density"].mask(empty, pruned["aimed"]), empty=empty)
    names = replicates.studies(pruned[pruned["method"].isin(OWN)], context)
    if not names:
        raise nothing(context, "no network was searched.")
    sheet, axes = pages.panels(len(names))
    shown = []
    for panel, study in zip(axes, names, strict=True):
        here, dense = (
            rows[rows["study"] == study] for rows in (pruned, table[table["method"] == "dense"])
        )
        metric = only(here["metric"])
        curves, published = curves_of(here), _published(here, context, moment)
        replicates.dense_band(panel, dense)
        _limit(panel, curves, pd.concat([dense, published]), metric)
        places = replicates.draw(panel, [_part(curve, empty=False) for curve in curves], "density")
        if any(curve.thin for curve in curves):
            look = {"linestyle": LAST_LINE, "marker": "o", "markerfacecolor": "white"}
            panel.plot([], [], color="0.35", linewidth=0.8, label=LAST_SCORES, **look)
        places += _draw_empty(panel, [_part(curve, empty=True) for curve in curves])
        _density_axis(panel, here, [*places, published["density"]])
        _draw_published(panel, curves, published)
        title, what = context.title(study), f"({replicates.counts(here, dense)})"
        panel.set_title(
            f"{title} {what}" if len(title + what) < style.TITLE_LENGTH else f"{title}\n{what}"
        )
        shown += [dense, here, published]
    for panel, metric in style.first_of_rows(
        axes, [only(pruned.loc[pruned["study"] == s, "metric"]) for s in names]
    ):
        panel.set_ylabel(metric.axis)
    pages.finish(sheet, points=replicates.POINTS, spread=replicates.SPREAD, dashes=True)
    return Drawn(sheet, replicates.written(shown, (*MORE, "empty")))


def _part(curve: Curve, *, empty: bool) -> Curve:
    """A curve's networks that keep nothing, or the others."""
    return replace(curve, rows=curve.rows[curve.rows["empty"] == empty])


def _draw_empty(panel: Axes, curves: Sequence[Curve]) -> list[pd.Series]:
    """Crosses, in the colours of what found nothing; their positions."""
    look = {"linestyle": "none", "marker": "x", "markersize": 6, "markeredgewidth": 1.2}
    found = [curve for curve in curves if len(curve.rows)]
    for curve in found:
        rows = curve.rows
        panel.plot(rows["density"], rows["mean"], color=style.color(curve.look), zorder=3, **look)
    if found:
        panel.plot([], [], color="0.35", label=NOTHING_FOUND, **look)
    return [curve.rows["density"] for curve in found]


def _draw_published(panel: Axes, curves: Sequence[Curve], published: pd.DataFrame) -> None:
    """Short bars across, in the colours of what they are of."""
    look = {"linestyle": "none", "marker": "_", "markersize": 10, "markeredgewidth": 1.3}
    for curve in curves:
        cell = curve.rows[["method", "variant"]].drop_duplicates()
        theirs = published.merge(cell, on=["method", "variant"])
        panel.plot(theirs["density"], theirs["mean"], color=style.color(curve.look), **look)
    if len(published):
        panel.plot([], [], color="0.35", label="Published", **look)


def _limit(panel: Axes, curves: Sequence[Curve], more: pd.DataFrame, metric: Metric) -> None:
    """Around everything that is drawn: nothing leaves the frame."""
    rows = pd.concat([more, *(curve.shown for curve in curves)])
    panel.set_ylim(*replicates.around(rows, metric))


def _density_axis(panel: Axes, rows: pd.DataFrame, drawn: Sequence[pd.Series]) -> None:
    """From dense to sparse; ticks where searches aimed, ends around the points that are drawn.

    And a tick at the densest network, where that of another way to prune is denser than searches.
    """
    aimed, densest = rows.loc[rows["method"].isin(OWN), "aimed"], rows["density"].max()
    style.compression_axis(panel, [*aimed, *([densest] if densest > SAME * aimed.max() else [])])
    places = pd.concat(drawn)
    high, low = places.max(), places.min()
    room = (high / low) ** 0.04 if high > low else 1.2
    panel.set_xlim(high * room, low / room)


def _methods(here: pd.DataFrame) -> list[Curve]:
    return [
        Curve(_look(method), here[here["method"] == method]) for method in _order(here["method"])
    ]


def _checks(here: pd.DataFrame) -> list[Curve]:
    return [
        Curve(look, here[here["variant"] == variant])
        for variant, look in CHECKS.items()
        if (here["variant"] == variant).any()
    ]


def _moments(here: pd.DataFrame) -> list[Curve]:
    curves = []
    for method in _order(here["method"]):
        mine = here[here["method"] == method]
        trained, searched = (mine[mine["moment"] == moment] for moment in (BEFORE, SEARCHED))
        curves.append(Curve(_look(method), trained))
        same = searched["mean"].tolist() == trained["mean"].tolist()
        if len(searched) and not same:
            look = replace(_look(method), line=LAST_LINE)
            curves.append(Curve(look, searched, thin=True, open=True))
    return curves


def _look(method: str) -> Style:
    """How a method is drawn: unlike any other one of this wing's figures."""
    own = OTHERS | STYLES
    if method in own:
        return own[method]
    # By its place among all others, so it is the same in every figure.
    strangers = [m for m in style.order([*style.known(), method]) if m not in own]
    again, place = divmod(strangers.index(method), len(SPARE_COLORS))
    marker = SPARE_MARKERS[(place + again) % len(SPARE_MARKERS)]
    label = style.method_style(method, [method]).label
    return Style(label, SPARE_COLORS[place], marker, (0, (3, 1)))


def _order(methods: pd.Series) -> list[str]:
    known = [*STYLES, *OTHERS]
    found = list(dict.fromkeys(methods))
    return [m for m in known if m in found] + [m for m in style.order(found) if m not in known]


# -- tables -------------------------------------------------------------------------------------


def _rows_of_methods(panel: Axes, here: pd.DataFrame, published: pd.DataFrame) -> None:
    """A row per method, its score before and after training, with the numbers written beside."""
    methods = [m for m in FAMILY if m in set(here["method"])]
    for place, method in enumerate(reversed(methods)):
        mine, look = here[here["method"] == method], _look(method)
        for moment in (BEFORE, AFTER):
            row = mine[mine["moment"] == moment]
            bars = None if row["std"].isna().all() else row["std"].tolist()
            face = {"markerfacecolor": "white"} if moment == BEFORE else {}
            edge = {"markeredgecolor": style.color(look), "markeredgewidth": 0.9}
            name = "Before training" if moment == BEFORE else "After training"
            panel.errorbar(
                row["mean"], [place] * len(row), xerr=bars, linestyle="none", marker=look.marker,
                color=style.color(look), elinewidth=0.8, capsize=1.5, **face, **edge,
            )  # fmt: skip
            panel.plot([], [], "o", color="0.3", label=name, **face)
            for value in row["mean"]:
                up = moment == AFTER  # apart, also where both are the same
                panel.annotate(
                    f"{value:.1f}", (value, place), (0, 4 if up else -4),
                    textcoords="offset points", ha="center", va="bottom" if up else "top",
                    fontsize=7, color="0.25",
                )  # fmt: skip
        theirs = published[published["method"] == method]
        if len(theirs):
            panel.plot(
                theirs["mean"], [place] * len(theirs), color="0.35", linestyle="none", marker="|",
                markersize=9, markeredgewidth=1.2, label="Published",
            )  # fmt: skip
    panel.set_yticks(range(len(methods)))
    panel.set_yticklabels([_look(m).label for m in reversed(methods)])
    panel.set_ylim(-0.6, len(methods) - 0.3)
    panel.margins(x=0.1)
    panel.grid(axis="y", visible=False)


def _published(here: pd.DataFrame, context: Context, *moments: str) -> pd.DataFrame:
    """What the paper itself prints of a study's methods and variants, where it asks for it."""
    study, network, dataset = here[["study", "network", "dataset"]].iloc[0]
    source = context.option(study, "gem_miner_published")
    if source is None or only(here["metric"]) != ACCURACY:
        return here.iloc[:0]
    rows = published_for(source, network, dataset, context.resources)
    rows = rows[(rows["trust"] == "paper") & rows["moment"].isin(moments)]
    rows = rows.rename(columns={"accuracy": "mean"}).assign(study=study, std=float("nan"))
    return rows.merge(here[["method", "variant"]].drop_duplicates(), on=["method", "variant"])


def _nearest(rows: pd.DataFrame, density: float) -> pd.DataFrame:
    """Of each method the row whose density was to be nearest, if it is near at all."""
    distance = apart(rows["aimed"], density)
    nearest = distance.groupby(rows["method"]).idxmin()
    return rows.loc[[row for row in nearest if distance[row] <= NEAR]]
