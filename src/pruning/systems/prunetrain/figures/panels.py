"""What figures of this wing share: heads of rows, lines by epoch, and what they choose to show."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pruning.analysis import replicates as summaries
from pruning.figures import pages, replicates, style
from pruning.figures.context import Context
from pruning.figures.style import Style
from pruning.systems.prunetrain.rules import UNMODIFIED

MARKERS = 6  # on a line
KEYS = ("study", "method", "variant", "level", "ratio")
TRAINING = (*KEYS, "seed")
WRITTEN = ("source", *KEYS, "quantity", "position", "layer", "epoch", "mean", "std", "n")
TINY = 1e-9  # the unit in which what is far smaller than 1 is summed up
STUDY = "study"  # where a number is from, if it was not published


# -- which rows ---------------------------------------------------------------------------------


def shrinking(table: pd.DataFrame, *methods: str) -> pd.DataFrame:
    """The rows of trainings that shrink by these methods."""
    return table[table["method"].isin(methods) & (table["variant"] == UNMODIFIED)]


def chosen(rows: pd.DataFrame, context: Context) -> int:
    """The level that a study shows: its ``prunetrain_level`` where there is it, else the last."""
    (study,) = set(rows["study"])
    wanted = context.option(study, "prunetrain_level")
    return int(wanted if wanted in set(rows["level"]) else rows["level"].max())


def together(rows: pd.DataFrame, methods: Sequence[str]) -> pd.DataFrame:
    """The rows at levels at which a study has all of these methods."""
    have = rows.groupby(["study", "level"])["method"].transform(lambda m: len(set(m)))
    return rows[have == len(methods)]


def at_one_level(rows: pd.DataFrame, context: Context) -> dict[str, pd.DataFrame]:
    """By study, in the order of figures, the rows of the level that it shows."""
    studies = {s: rows[rows["study"] == s] for s in replicates.studies(rows, context)}
    return {s: here[here["level"] == chosen(here, context)] for s, here in studies.items()}


def of_first(rows: pd.DataFrame, column: str) -> pd.Series:
    """A column in percent of what it is in the first epoch of each training; of 0 it is missing."""
    ordered = rows.sort_values("epoch", kind="stable")
    first = ordered.groupby(list(TRAINING))[column].transform("first")
    return (100 * ordered[column] / first.where(first > 0)).reindex(rows.index)


def of_whole(seconds: pd.DataFrame) -> pd.Series:
    """Seconds of each epoch in percent of the median epoch before anything was cut.

    Not of the first epoch alone, which takes what starting takes.
    """
    ordered = seconds.sort_values("epoch", kind="stable")
    first = ordered.groupby(list(TRAINING))["parameters"].transform("first")
    whole = ordered["seconds"].where(ordered["parameters"] == first)
    usual = whole.groupby([ordered[key] for key in TRAINING]).transform("median")
    return (100 * ordered["seconds"] / usual).reindex(seconds.index)


def summed(
    rows: pd.DataFrame,
    values: pd.Series,
    quantity: str,
    by: Sequence[str] = ("epoch",),
    *,
    tiny: bool = False,
) -> pd.DataFrame:
    """Mean, deviation and number of values that there are over replicates, by cell and ``by``.

    Of ``tiny`` values more places are kept than the six that others have.
    """
    unit = TINY if tiny else 1
    known = rows.assign(value=values / unit).dropna(subset="value")
    table = summaries.summed_up(known, "value", [*KEYS, *by])
    return table.assign(mean=unit * table["mean"], std=unit * table["std"], quantity=quantity)


def written(tables: Iterable[pd.DataFrame], more: Sequence[str] = ()) -> pd.DataFrame:
    """The numbers of a figure in one table, without columns that it has nothing in."""
    table = pd.concat([table for table in tables if len(table)], ignore_index=True)
    source = table["source"] if "source" in table else pd.Series(index=table.index, dtype=object)
    table = table.assign(source=source.fillna(STUDY))
    columns = [*WRITTEN[:-3], *more, *WRITTEN[-3:]]
    return table[[column for column in columns if column in table]]


# -- how it is drawn ----------------------------------------------------------------------------


def ratio_styles(ratios: Iterable[float]) -> dict[float, Style]:
    """A style for each penalty ratio: the smallest is the darkest."""
    ordered = sorted(set(ratios))
    places = [i / max(1, len(ordered) - 1) for i in range(len(ordered))]
    labels = [f"Penalty ratio {ratio:g}" for ratio in ordered]
    return dict(zip(ordered, style.sequential(labels, places), strict=True))


def method_styles(methods: Iterable[str]) -> dict[str, Style]:
    """The styles of methods, in the order of legends."""
    found = style.order(list(dict.fromkeys(methods)))
    return {method: style.method_style(method, found) for method in found}


def entitle(rows: Sequence[Sequence[Axes]], heads: Sequence[str], names: Sequence[str]) -> None:
    """A name above each panel, and above each row what it is of."""
    for row, head in zip(rows, heads, strict=True):
        shown = list(zip(row, names, strict=True))
        lines = max(_lines(panel, name) for panel, name in shown)
        for panel, name in shown:
            put_title(panel, name, head if panel is row[0] else "", lines)


def _lines(panel: Axes, title: str) -> int:
    """How many lines a title will have, with its letter."""
    return 1 + pages.folded(panel, f"(a) {title}").count("\n")


def put_title(panel: Axes, text: str, head: str = "", lines: int = 1) -> None:
    """A title at the left of a panel, and a line above it that may be longer than the panel.

    Args:
        panel: whose title it is.
        text: the title.
        head: of the row that the panel begins.
        lines: of the longest title in that row.
    """
    above = (lines + 1 - _lines(panel, text)) * "\n" if head else ""  # room for it
    title = panel.set_title(f"{above}{text}", loc="left")
    if head:
        size = title.get_fontsize()
        away = plt.rcParams["axes.titlepad"] + 1.2 * size * lines
        note = panel.annotate(
            head, (0, 1), (0, away), "axes fraction", "offset points", fontsize=size, va="bottom"
        )
        note.set_in_layout(False)  # or panels would be moved apart for it


def head(context: Context, rows: pd.DataFrame, what: str = "") -> str:
    """Which study, and how many replicates."""
    (study,) = set(rows["study"])
    parts = [context.title(study), *([what] if what else [])]
    return f"{', '.join(parts)} ({replicates.counts(rows)})"


def lines(
    panel: Axes, table: pd.DataFrame, looks: Mapping[Any, Style], by: str, **more: Any
) -> None:
    """A line by epoch for each value of a column, with a band of one standard deviation."""
    for place, (value, look) in enumerate(looks.items()):
        rows = table[table[by] == value].sort_values("epoch")
        if rows.empty:
            continue
        every = max(1, len(rows) // MARKERS)
        start = place * every // len(looks)
        style.curve(
            panel, rows["epoch"], rows["mean"], look, **{"markevery": (start, every)} | more
        )
        if rows["std"].notna().any():
            low, high = rows["mean"] - rows["std"], rows["mean"] + rows["std"]
            style.band(panel, rows["epoch"], low, high, look)


def epoch_axis(axes: Iterable[Axes]) -> None:
    """Ticks at whole epochs."""
    for panel in axes:
        panel.xaxis.set_major_locator(MaxNLocator(4, integer=True, steps=[1, 2, 5, 10]))
        panel.set_xlabel("Epoch")


def from_zero(axes: Sequence[Axes], *tables: pd.DataFrame, least: float = 0.0) -> None:
    """The same value axis for all panels: from 0 to above everything drawn, and above ``least``.

    It begins lower where a band does.
    """
    filled = [table for table in tables if len(table)]
    top = max([least, *((table["mean"] + table["std"].fillna(0)).max() for table in filled)])
    low = min([0.0, *(1.05 * (table["mean"] - table["std"].fillna(0)).min() for table in filled)])
    for panel in axes:
        panel.set_ylim(low, 1.05 * top)
