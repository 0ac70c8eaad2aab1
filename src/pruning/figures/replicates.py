"""Curves of means over replicates with bars of one standard deviation, and what goes with them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes

from pruning.figures import style
from pruning.figures.context import Context
from pruning.figures.style import Style
from pruning.training.metric import Metric

COLUMNS = (
    "source",
    "study",
    "method",
    "variant",
    "pruned_at",
    "level",
    "density",
    "sparsity",
    "mean",
    "std",
    "n",
)


POINTS, SPREAD = "means over replicates", "one standard deviation"
COLLAPSED = 0.5  # of the dense score: what is worse sets no end of an axis


@dataclass(frozen=True, eq=False)
class Curve:
    """What one line shows.

    Attributes:
        look: of the line.
        rows: a point each, with ``mean``, ``std`` and ``n``; without ``std`` there are no bars.
        thin: something to compare with, in the background and without bars.
        open: whether its markers are not filled.
    """

    look: Style
    rows: pd.DataFrame
    thin: bool = False
    open: bool = False

    @property
    def shown(self) -> pd.DataFrame:
        """The numbers that are drawn."""
        return self.rows.assign(std=float("nan")) if self.thin else self.rows


def draw(axes: Axes, curves: Sequence[Curve], x: str) -> list[pd.Series]:
    """Draw curves against a column; the positions of their points, a little shifted, come back."""
    log = x == "density"
    thick = [curve for curve in curves if not curve.thin]
    ticks = sorted({place for curve in curves for place in curve.rows[x]})
    positions = []
    for curve in curves:
        rows = curve.rows.sort_values(x, ascending=not log)
        at = rows[x]
        face = {"markerfacecolor": "white", "markeredgewidth": 0.8}
        face = face | {"markeredgecolor": style.color(curve.look)} if curve.open else {}
        if curve.thin:
            look = {"linewidth": 0.8, "markersize": 2.4, "alpha": 0.75, "zorder": 1.5}
            if curve.open:  # as large as others, or the white would not show
                del look["markersize"]
            style.curve(axes, at, rows["mean"], curve.look, **look, **face)
        else:
            at = style.dodged(at, thick.index(curve), len(thick), log=log, ticks=ticks)
            bars = None if rows["std"].isna().all() else rows["std"]
            style.curve(axes, at, rows["mean"], curve.look, bars, **face)
        positions.append(at)
    return positions


def limit(
    axes: Axes,
    curves: Iterable[Curve],
    dense: pd.DataFrame,
    ylim: Sequence[float] | None,
    metric: Metric,
) -> None:
    """The ends of the value axis: as asked for, or around all curves and dense networks.

    Points at which training collapsed leave the frame, and are marked at its edge: an axis out to
    them would show nothing else.
    """
    if ylim is None:
        tables = [dense, *(curve.shown for curve in curves)]
        rows = pd.concat([table for table in tables if len(table)])
        # Without dense networks nothing tells what collapsed.
        worst = metric.sign * (metric.sign * rows["mean"]).min()
        far = collapse(dense["mean"], metric) if len(dense) else worst
        ylim = around(not_beyond(rows, far, metric), metric, far)
    axes.set_ylim(*ylim)


def collapse(scores: pd.Series, metric: Metric) -> float:
    """The score beyond which training collapsed, beside the best of these.

    Half of a score is something only where scores are positive; of others nothing collapsed.
    """
    best = scores.max() if metric.higher_is_better else scores.min()
    if best <= 0:
        return -metric.sign * math.inf
    return COLLAPSED * best if metric.higher_is_better else best / COLLAPSED


def not_beyond(rows: pd.DataFrame, far: float, metric: Metric) -> pd.DataFrame:
    """The rows whose ``mean`` is no worse than a score."""
    return rows[metric.sign * (rows["mean"] - far) >= 0]


def around(rows: pd.DataFrame, metric: Metric, far: float | None = None) -> tuple[float, float]:
    """Ends of an axis around means and their spreads, but for spreads beyond a score."""
    spread = rows["std"].fillna(0)
    low, high = (rows["mean"] - spread).min(), (rows["mean"] + spread).max()
    if far is not None:
        low, high = (max(far, low), high) if metric.higher_is_better else (low, min(far, high))
    margin = 0.06 * max(high - low, metric.resolution)
    return low - margin, high + margin


def dense_band(axes: Axes, dense: pd.DataFrame) -> None:
    """Mean and standard deviation of the dense networks, where there are any."""
    for row in dense.itertuples():
        spread = 0.0 if pd.isna(row.std) else row.std
        style.dense_band(axes, row.mean - spread, row.mean + spread, row.mean, SPREAD)


def counts(rows: pd.DataFrame, dense: pd.DataFrame | None = None) -> str:
    """How many replicates there are: ``n=3``, ``n=2-3``, ``n=3, dense 5``."""
    low, high = rows["n"].min(), rows["n"].max()
    text = f"n={low}" if low == high else f"n={low}-{high}"
    if dense is not None and len(dense) and not (low == high == dense["n"].iloc[0]):
        text += f", dense {dense['n'].iloc[0]}"
    return text


def studies(table: pd.DataFrame, context: Context) -> list[str]:
    """Studies as they are listed, then others by name."""
    found = set(table["study"])
    return [s for s in context.titles if s in found] + sorted(found - set(context.titles))


def written(tables: Iterable[pd.DataFrame], more: Sequence[str] = ()) -> pd.DataFrame:
    """The numbers of a figure in one table."""
    table = pd.concat([table for table in tables if len(table)])
    if "source" not in table:
        table["source"] = "study"
    table["source"] = table["source"].fillna("study")
    table["sparsity"] = (100 * (1 - table["density"])).round(6)
    columns = [*COLUMNS[:-3], *more, *COLUMNS[-3:]]
    return table.reindex(columns=columns).drop_duplicates(ignore_index=True)
