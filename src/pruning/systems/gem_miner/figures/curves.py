"""Figures of Sreenivasan et al. (2022): what happens while a network is searched and trained."""

from collections.abc import Iterable, Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pruning.analysis.score import only, shown
from pruning.figures import pages, replicates, style
from pruning.figures.context import Context, Drawn, nothing
from pruning.figures.style import Style
from pruning.systems.gem_miner.rules import UNMODIFIED
from pruning.systems.gem_miner.section import STRENGTH
from pruning.systems.gem_miner.tables import (
    AFTER,
    IMP_WARM,
    LR_REWIND,
    SEARCH,
    apart,
    compared,
    summed_up,
)

KEYS = ("study", "metric", "variant", "level", "density", "strength", "epoch")
BOUND = {"linestyle": (0, (1, 1.4)), "linewidth": 0.9, "zorder": 1.5}
LEVELS = {  # that training is held beside: lines across
    "dense": Style("Dense", "0.45", "", (0, (4, 2))),
    IMP_WARM: Style("IMP, with warm-up", "0.1", "", (0, (1, 1))),
    LR_REWIND: Style("Learning-rate rewinding", "0.1", "", "-."),
}


def densities(table: pd.DataFrame, context: Context) -> Drawn:
    """Density of the mask by epoch of the search, for each strength of the penalty (Fig. 2).

    Dotted, in the same colour: the share of weights that are not frozen out, which is the bound
    that freezing sets. The mask of the moment is sparser where the penalty rounds more of them to
    zero. Means over replicates; a panel per study, of its sweep over strengths, or else of its
    searches.
    """
    searches = table[table["variant"].astype(str).str.startswith(SEARCH)]
    searches = searches[searches["method"] == "gem_miner"]
    if searches.empty:
        raise nothing(context, "Gem-Miner searched nothing.")
    names = replicates.studies(searches, context)
    shown = {study: _sweep(searches[searches["study"] == study]) for study in names}
    looks = {
        by: _looks([v for here, its in shown.values() if its == by for v in here[by]], by)
        for by in ("strength", "density")
    }
    sheet, axes = pages.panels(len(names))
    drawn = []
    for panel, study in zip(axes, names, strict=True):
        here, by = shown[study]
        drawn.append(_draw_densities(panel, here, by, looks[by]))
        panel.set_title(f"{context.title(study)} (n={here['seed'].nunique()})")
    for panel in axes[:: pages.COLUMNS]:
        panel.set_ylabel("Density (log scale)")
    pages.finish(sheet, points=replicates.POINTS, dashes=True)
    return Drawn(sheet, pd.concat(drawn, ignore_index=True))


def convergence(table: pd.DataFrame, context: Context) -> Drawn:
    """Test score through search and training, of Gem-Miner at each density (Fig. 5).

    The vertical line is where the search ends and training of what it found begins. Means over
    replicates, bands one standard deviation to each side. Levels: the dense network, and the
    baselines at the density nearest to that of the sparsest search.
    """
    mine = table[table["method"] == "gem_miner"]
    mine = mine[mine["variant"].isin((UNMODIFIED, f"{SEARCH}{UNMODIFIED}"))]
    if mine.empty:
        raise nothing(context, "Gem-Miner searched nothing.")
    tidy = context.tables["tidy"]
    names = replicates.studies(mine, context)
    looks = _looks(mine["density"], "density")
    sheet, axes = pages.panels(len(names))
    drawn = []
    for panel, study in zip(axes, names, strict=True):
        here = mine[mine["study"] == study]
        drawn.append(_draw_scores(panel, here, looks))
        drawn.append(_levels(panel, tidy[tidy["study"] == study], here))
        panel.set_title(f"{context.title(study)} (n={here['seed'].nunique()})")
    metrics = [only(mine.loc[mine["study"] == name, "metric"]) for name in names]
    for panel, metric in style.first_of_rows(axes, metrics):
        panel.set_ylabel(metric.axis)
    pages.finish(sheet, points=replicates.POINTS, spread=replicates.SPREAD, dashes=True)
    return Drawn(sheet, pd.concat(drawn, ignore_index=True))


def _sweep(here: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """A study's searches of one density by strength, if it varies that, else all by density."""
    swept = here[here["variant"].str.startswith(f"{SEARCH}{STRENGTH}")]
    if swept.empty:
        return here, "density"
    return here[here["level"] == swept["level"].iloc[0]], "strength"


def _looks(values: Iterable[float], by: str) -> dict[float, Style]:
    """A style per value, the same in all panels: the densest and the weakest are the darkest."""
    ordered = sorted({float(value) for value in values}, reverse=by == "density")
    names = [_kept(v) if by == "density" else f"λ = {v:g}" for v in ordered]
    places = [i / max(1, len(ordered) - 1) for i in range(len(ordered))]
    return dict(zip(ordered, style.sequential(names, places), strict=True))


def _kept(density: float) -> str:
    return f"{100 * density:.3g} % kept"


def _draw_densities(
    panel: Axes, here: pd.DataFrame, by: str, looks: Mapping[float, Style]
) -> pd.DataFrame:
    groups = here.groupby(list(KEYS), sort=False)[["active_density", "kept_density"]]
    # A sweep may have the usual strength again.
    table = groups.mean().reset_index().drop_duplicates([by, "epoch"])
    for place, (value, look) in enumerate(_of(looks, table[by])):
        rows = table[table[by] == value]
        every = max(1, len(rows) // 6)
        style.curve(
            panel, rows["epoch"], rows["active_density"], look, markevery=(place % every, every)
        )
        panel.plot(rows["epoch"], rows["kept_density"], color=style.color(look), **BOUND)
    panel.plot([], [], color="0.4", **BOUND, label="Not frozen (bound)")
    panel.set_yscale("log")
    _epoch_axis(panel, "Epoch of the search")
    return table


def _of(looks: Mapping[float, Style], values: pd.Series) -> list[tuple[float, Style]]:
    """The styles that a panel needs, in order."""
    return [(value, look) for value, look in looks.items() if (values == value).any()]


def _draw_scores(panel: Axes, here: pd.DataFrame, looks: Mapping[float, Style]) -> pd.DataFrame:
    value = shown(here["test_score"].astype(float), here["metric"])
    search = here["variant"].str.startswith(SEARCH)
    end = here.loc[search, "epoch"].astype(float).max()
    epoch = here["epoch"].astype(float).where(search, here["epoch"].astype(float) + end)
    rows = here.assign(value=value, epoch=epoch)
    keys = ["study", "metric", "level", "density", "epoch"]
    table = rows.groupby(keys)["value"].agg(["mean", "std", "count"]).reset_index()
    table = table.rename(columns={"count": "n"})
    for place, (density, look) in enumerate(_of(looks, table["density"])):
        mine = table[table["density"] == density]
        every = max(1, len(mine) // 6)
        style.curve(panel, mine["epoch"], mine["mean"], look, markevery=(place % every, every))
        spread = mine["std"].fillna(0)
        style.band(panel, mine["epoch"], mine["mean"] - spread, mine["mean"] + spread, look)
    panel.axvline(end, color="0.6", linewidth=0.8, zorder=1, label="End of the search")
    _epoch_axis(panel, "Epoch: search, then training")
    return table.assign(quantity="score")


def _epoch_axis(panel: Axes, label: str) -> None:
    """Ticks at whole epochs."""
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.set_xlabel(label)


def _levels(panel: Axes, tidy: pd.DataFrame, here: pd.DataFrame) -> pd.DataFrame:
    """Levels of the dense network, and of iterative pruning near the sparsest density."""
    table = summed_up(compared(tidy))
    aim = here["density"].astype(float).min()
    drawn = []
    for method, look in LEVELS.items():
        rows = table[(table["method"] == method) & (table["moment"] == AFTER)]
        if rows.empty:
            continue
        row = rows.loc[[apart(rows["density"], aim).idxmin()]]
        density = row["density"].iloc[0]
        label = look.label if method == "dense" else f"{look.label}, {_kept(density)}"
        more = {"color": style.color(look), "linestyle": look.line, "linewidth": 0.9, "zorder": 1}
        panel.axhline(row["mean"].iloc[0], label=label, **more)
        drawn.append(row.assign(quantity=method))
    columns = ["study", "metric", "level", "density", "mean", "std", "n", "quantity"]
    return pd.concat(drawn)[columns] if drawn else pd.DataFrame(columns=columns)
