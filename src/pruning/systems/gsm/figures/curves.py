"""Figures of Ding et al. (2019) about trainings, epoch by epoch: momentum, re-selection, tickets.

All begin from the table ``gsm_curves``. Lines are means over replicates, bands one standard
deviation to each side.
"""

from collections.abc import Iterable, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pruning.analysis import replicates as summaries
from pruning.analysis.score import only
from pruning.analysis.score import shown as as_shown
from pruning.figures import pages, replicates, style
from pruning.figures.context import Context, Drawn, nothing
from pruning.figures.style import Style
from pruning.systems.gsm.figures.accuracy import (
    at_ratio,
    by_level,
    label_rows,
    momentum_styles,
    written,
)

KEYS = ("study", "method", "variant", "level", "density", "metric", "momentum", "reselect")
# Columns that are shown together, and the name of each.
BEFORE, AFTER = "test_score", "zeroed_test_score"
ZEROING = (BEFORE, AFTER)
SMALL = ("share_below_0.001", "share_below_0.0001")
NAMES = {
    BEFORE: "score before zeroing",
    AFTER: "score after zeroing",
    "share_below_0.001": "weights below 0.001",
    "share_below_0.0001": "weights below 0.0001",
}
SELECTION = {
    True: Style("Selected anew in each step", 0, "o"),
    False: Style("Frozen after the first step", 3, "s"),
}
TICKETS = ("gsm_ticket", "magnitude_ticket")
DENSE = Style("Dense", "0.45", "None")
LATE = 0.5  # of a training; what is earlier sets no end of an axis
MARKERS = 6  # on a line
LINES = "Lines are means over replicates"
FROM = "The later half of training sets the ends of score axes."


def momentum(curves: pd.DataFrame, context: Context) -> Drawn:
    """Test score and small weights by epoch and momentum, two rows per study (Fig. 3).

    Of the highest level that has several momenta. Above: test score before zeroing and after it.
    Below: the share of weights under each of two thresholds, beside the share that is to be
    removed. Where several variants have the same momentum, the first is shown, the unmodified one
    before others.
    """
    rows = _variants(curves, reselect=True)
    chosen = {
        study: found
        for study in replicates.studies(rows, context)
        if len(found := _of_several_momenta(rows[rows["study"] == study]))
    }
    if not chosen:
        raise nothing(context, "no density has GSM trainings with several momenta.")
    sheet, grid = pages.grid(2 * len(chosen), 2)
    looks = momentum_styles(pd.concat(chosen.values())["momentum"])
    shown = []
    for place, mine in enumerate(chosen.values()):
        scores, shares = _summed(mine, ZEROING), _summed(mine, SMALL)
        above, below = grid[2 * place : 2 * place + 2]
        metric = only(mine["metric"])
        for panels, table, columns in ((above, scores, ZEROING), (below, shares, SMALL)):
            for panel, quantity in zip(panels, columns, strict=True):
                for number, (value, look) in enumerate(looks.items()):
                    _line(panel, table[table["momentum"] == value], quantity, look, number)
                panel.set_title(_title(table, quantity, context))
        _limit(above, scores)
        for panel in below:
            to_remove = 100 * (1 - mine["density"].iloc[0])
            style.reference_line(panel, to_remove, "Share to be removed")
            panel.set_ylim(-3, 103)
        above[0].set_ylabel(metric.axis)
        below[0].set_ylabel("Weights (%)")
        _epoch_axis([*above, *below])
        shown += [scores, shares]
    pages.finish(sheet, points=LINES, spread=replicates.SPREAD, note=f"β: momentum. {FROM}")
    return Drawn(sheet, _written(shown))


def reselection(curves: pd.DataFrame, context: Context) -> Drawn:
    """Test score by epoch with weights selected anew in each step, and without (Fig. 4).

    A row per study and level that has both: before zeroing and after it. Of several variants with a
    frozen selection the one whose momentum is nearest the unmodified one's is shown.
    """
    rows = []
    for here in by_level(curves[curves["method"] == "gsm"], context):
        ours = here[here["variant"] == "unmodified"]
        frozen = _nearest(_variants(here, reselect=False), ours)
        if len(ours) and len(frozen):
            rows.append(pd.concat([ours, frozen]))
    if not rows:
        raise nothing(
            context, "no density has GSM trainings both with re-selection and without (reselect)."
        )
    sheet, grid = pages.grid(len(rows), 2)
    shown = []
    for axes, mine in zip(grid, rows, strict=True):
        table = _summed(mine, ZEROING)
        for panel, quantity in zip(axes, ZEROING, strict=True):
            for number, (reselect, look) in enumerate(SELECTION.items()):
                _line(panel, table[table["reselect"].isin([reselect])], quantity, look, number)
            panel.set_title(_title(table, quantity, context))
        _limit(axes, table)
        _epoch_axis(axes)
        axes[0].set_ylabel(only(mine["metric"]).axis)
        shown.append(table)
    pages.finish(sheet, points=LINES, spread=replicates.SPREAD, note=FROM)
    return Drawn(sheet, _written(shown))


def tickets(curves: pd.DataFrame, context: Context) -> Drawn:
    """Test score by epoch of winning tickets, a panel per study and level (Table 4).

    The training of the dense networks is thin. A study's ``gsm_ylim`` sets the ends of the axis;
    otherwise the second half of training does, of all that did not collapse. What lies beyond is
    marked at that edge. Panels of a study have the same axis.
    """
    trained = curves[curves["method"].isin(TICKETS) & (curves["variant"] == "unmodified")]
    panels = by_level(trained, context)
    if not panels:
        raise nothing(context, "no winning tickets were trained.")
    sheet, axes = pages.panels(len(panels))
    shown = []
    compared: dict[str, list[Axes]] = {}
    for panel, mine in zip(axes, panels, strict=True):
        study = mine["study"].iloc[0]
        base = curves[(curves["study"] == study) & (curves["method"] == "dense")]
        table, dense = _summed(mine, (BEFORE,)), _summed(base, (BEFORE,))
        _line(panel, dense, BEFORE, DENSE, thin=True)
        present = [method for method in TICKETS if method in set(table["method"])]
        for place, method in enumerate(present):
            look = style.method_style(method, [method])
            _line(panel, table[table["method"] == method], BEFORE, look, place)
        ylim = context.option(study, "gsm_ylim")
        _limit([panel], pd.concat([dense, table]), ylim, collapse=True)
        panel.set_title(at_ratio(table, context))
        compared.setdefault(study, []).append(panel)
        shown += [dense.assign(std=float("nan")), table]
    for together in compared.values():
        pages.share_y(together)
    _epoch_axis(axes)
    label_rows(axes, panels)
    note = "The thin line has no band."
    pages.finish(sheet, points=LINES, spread=replicates.SPREAD,
                 note=f"{note} {FROM}" if any(map(len, shown[::2])) else FROM)  # fmt: skip
    return Drawn(sheet, _written(shown))


# -- which rows ---------------------------------------------------------------------------------


def _variants(curves: pd.DataFrame, *, reselect: bool) -> pd.DataFrame:
    return curves[(curves["method"] == "gsm") & curves["reselect"].isin([reselect])]


def _of_several_momenta(here: pd.DataFrame) -> pd.DataFrame:
    """One variant for each momentum at the highest level with several; without rows if none has."""
    momenta = here.groupby("level")["momentum"].nunique()
    levels = momenta.index[momenta > 1]
    if levels.empty:
        return here.iloc[:0]
    here = here[here["level"] == levels.max()]
    found = here[["momentum", "variant"]].drop_duplicates()
    found = found.assign(changed=found["variant"] != "unmodified")
    found = found.sort_values("changed", kind="stable").drop_duplicates("momentum")
    return here[here["variant"].isin(found["variant"])]


def _nearest(frozen: pd.DataFrame, ours: pd.DataFrame) -> pd.DataFrame:
    """The variant whose momentum is nearest."""
    if frozen.empty or ours.empty:
        return frozen
    away = (frozen["momentum"] - ours["momentum"].iloc[0]).abs()
    return frozen[frozen["variant"] == frozen.loc[away.idxmin(), "variant"]]


def _summed(rows: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    """Mean, deviation and number of these columns by epoch; ``quantity`` says which.

    Scores as they are shown, shares in percent.
    """
    tables = []
    for column in columns:
        known = rows.dropna(subset=column)
        score = column in ZEROING
        value = as_shown(known[column], known["metric"]) if score else 100 * known[column]
        table = summaries.summed_up(known.assign(value=value), "value", [*KEYS, "epoch"])
        tables.append(table.assign(quantity=column))
    return pd.concat(tables, ignore_index=True).assign(
        variant=lambda t: t["variant"].astype(object).fillna("")
    )


def _written(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The numbers of a figure; ``quantity`` names the score, like ``test_accuracy``."""
    named = []
    for table in tables:
        scores = table["quantity"].isin(ZEROING)
        names = table["quantity"].str.removesuffix("score") + table["metric"]
        named.append(table.assign(quantity=table["quantity"].mask(scores, names)))
    return written(named, ("momentum", "reselect", "quantity", "epoch"))


# -- drawing ------------------------------------------------------------------------------------


def _line(
    panel: Axes,
    rows: pd.DataFrame,
    quantity: str,
    look: Style,
    place: int = 0,
    *,
    thin: bool = False,
) -> None:
    """A line with some markers, which stand apart from those of other places, and its band."""
    mine = rows[rows["quantity"] == quantity].sort_values("epoch")
    if mine.empty:
        return
    every = max(1, len(mine) // MARKERS)
    more = {"markevery": (place * every // 3 % every, every), "linewidth": 0.8 if thin else 1.2}
    style.curve(panel, mine["epoch"], mine["mean"], look, **more)
    if not thin and mine["std"].notna().any():
        low, high = mine["mean"] - mine["std"], mine["mean"] + mine["std"]
        style.band(panel, mine["epoch"], low, high, look)


def _limit(
    panels: Sequence[Axes],
    table: pd.DataFrame,
    ylim: Sequence[float] | None = None,
    *,
    collapse: bool = False,
) -> None:
    """The ends of the value axes, as asked for or by the later part of training.

    With ``collapse``, lines that end far from the best leave the frame.
    """
    if ylim is None:
        late = table[table["epoch"] >= LATE * table["epoch"].max()]
        metric = only(late["metric"])
        if collapse:
            far = replicates.collapse(late["mean"], metric)
            late = replicates.not_beyond(late, far, metric)
        ylim = replicates.around(late, metric)
    for panel in panels:
        panel.set_ylim(*ylim)


def _title(rows: pd.DataFrame, quantity: str, context: Context) -> str:
    """A study, and which of its quantities at which ratio."""
    what = f"{style.ratio(1 / rows['density'].iloc[0])}, {NAMES[quantity]}"
    return f"{context.title(rows['study'].iloc[0])}\n{what} ({replicates.counts(rows)})"


def _epoch_axis(axes: Sequence[Axes]) -> None:
    for panel in axes:
        panel.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
        panel.set_xlabel("Epoch")
