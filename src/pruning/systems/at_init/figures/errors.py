"""What the COMP6258 reproduction of Frankle et al. (2021) got wrong, done again on purpose.

Two faults explain its surprising results: it ranked batch-norm scales among the weights, and its
SynFlow had no masks to prune. Both are methods of their own; here they stand beside what is right.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pandas as pd
from matplotlib.axes import Axes

from pruning.analysis.score import only
from pruning.errors import PruningError
from pruning.figures import pages, replicates, style
from pruning.figures.context import Context, Drawn
from pruning.figures.replicates import Curve
from pruning.systems.at_init import tables as at_init
from pruning.systems.at_init.rules import is_faulty
from pruning.systems.at_init.tables import NORM_SCALES, WITHOUT_MASKS
from pruning.training.metric import Metric

FAULTY = (0, (4, 1.5))  # the line of what has a fault
DOTTED, INVERTED = (0, (1, 1.2)), "Kept by inverted masks"
CLASSES = 10
LINES = {"Without the fault": "-", "With the fault": FAULTY}
NOTE = (
    "The fault: norm scales ranked and removed with the kernels; of SynFlow, a network without "
    "masks. Open markers have it."
)


@dataclass(frozen=True, eq=False)
class _Numbers:
    """What is known of one study.

    Attributes:
        cells: scores of pruned networks.
        dense: scores of dense networks.
        scales: shares of norm scales that are kept.
        metric: of the scores.
        classes: how many there are.
    """

    cells: pd.DataFrame
    dense: pd.DataFrame
    scales: pd.DataFrame
    metric: Metric
    classes: int


@dataclass(frozen=True)
class _Panel:
    """One panel of a study: its title, the score as ``{score}``, its rows, how to draw them."""

    title: str
    rows: Callable[[_Numbers], pd.DataFrame]
    draw: Callable[[Axes, pd.DataFrame, _Numbers], None]


def reproduction_errors(tidy: pd.DataFrame, context: Context) -> Drawn:
    """The faults of a reproduction and what comes of them, some panels per study.

    Norm scales that are kept where they are ranked with the kernels; scores with and without that
    fault, of inverted masks and of GraSP; SynFlow with and without masks. Dashed, with open
    markers: with the fault. A study's ``classes`` gives the score of guessing.
    Draws from the table ``at_init_layers`` too.
    """
    cells = at_init.at_first(at_init.cells(tidy))
    faulty = cells[[is_faulty(method) for method in cells["method"]]]
    layers = context.tables["at_init_layers"]
    scales = at_init.at_first(at_init.kept_shares(layers, "norm_scale"))
    studies = {
        study: _of_study(study, cells, scales, context)
        for study in replicates.studies(faulty, context)
    }
    rows = [row for numbers in studies.values() for row in _rows_of_panels(numbers)]
    if not rows:
        raise PruningError(
            f"{', '.join(context.titles)}: there is no method that ranks norm scales "
            f"(*{NORM_SCALES}) and no {WITHOUT_MASKS}."
        )
    sheet, grid = pages.grid(len(rows), max(len(panels) for _, panels in rows))
    shown = []
    for axes, (numbers, panels) in zip(grid, rows, strict=True):
        for axis, panel in zip(axes, panels, strict=False):
            table = panel.rows(numbers)
            panel.draw(axis, table, numbers)
            title = panel.title.format(score=numbers.metric.title)
            axis.set_title(f"{_named(numbers, context)}\n{title}")
            shown.append(table.assign(panel=title))
        for spare in axes[len(panels) :]:
            spare.remove()
    _explain(sheet, at_init.pruned(pd.concat(shown)))
    pages.finish(sheet, points=replicates.POINTS, spread=replicates.SPREAD, note=NOTE, dashes=True)
    return Drawn(sheet, replicates.written(shown, ("panel",)))


# -- which rows ---------------------------------------------------------------------------------


def _of_study(study: str, cells: pd.DataFrame, scales: pd.DataFrame, context: Context) -> _Numbers:
    mine = cells[cells["study"] == study]
    return _Numbers(
        cells=at_init.pruned(mine),
        dense=mine[mine["method"] == "dense"],
        scales=scales[scales["study"] == study],
        metric=only(mine["metric"]),
        classes=context.option(study, "classes", CLASSES),
    )


def _rows_of_panels(numbers: _Numbers) -> list[tuple[_Numbers, list[_Panel]]]:
    """The panels that a study has something for, a few beside each other."""
    panels = [panel for panel in PANELS if len(panel.rows(numbers))]
    beside = pages.beside(len(panels))
    return [(numbers, panels[i : i + beside]) for i in range(0, len(panels), beside)]


def _named(numbers: _Numbers, context: Context) -> str:
    study = numbers.cells["study"].iloc[0]
    return f"{context.title(study)} ({replicates.counts(numbers.cells)})"


def _right(method: str) -> str:
    """The method without its fault."""
    return "synflow" if method == WITHOUT_MASKS else method.removesuffix(NORM_SCALES)


def _scales_kept(numbers: _Numbers) -> pd.DataFrame:
    ranked = numbers.scales["method"].str.endswith(NORM_SCALES)
    shown = numbers.scales["variant"].isin(["unmodified", "inverted"])
    return numbers.scales[ranked & shown]


def _with_and_without(
    rows: pd.DataFrame, fault: str, variant: str, dense: pd.DataFrame
) -> pd.DataFrame:
    """Cells of methods that have a fault, the same without it, and the dense networks."""
    rows = rows[rows["variant"] == variant]
    faulty = {method for method in rows["method"] if method.endswith(fault)}
    if not faulty:
        return rows.iloc[:0]
    return pd.concat([dense, rows[rows["method"].isin(faulty | {_right(m) for m in faulty})]])


def _inverted(numbers: _Numbers) -> pd.DataFrame:
    return _with_and_without(numbers.cells, NORM_SCALES, "inverted", numbers.dense)


def _grasp(numbers: _Numbers) -> pd.DataFrame:
    grasp = numbers.cells[numbers.cells["method"].isin(["grasp", f"grasp{NORM_SCALES}"])]
    return _with_and_without(grasp, NORM_SCALES, "unmodified", numbers.dense)


def _synflow(numbers: _Numbers) -> pd.DataFrame:
    return _with_and_without(numbers.cells, WITHOUT_MASKS, "unmodified", numbers.dense)


def _synflow_removed(numbers: _Numbers) -> pd.DataFrame:
    rows = at_init.pruned(_synflow(numbers))
    return rows.assign(mean=rows["removed"], std=float("nan"))


# -- drawing ------------------------------------------------------------------------------------


def _draw_scales(axis: Axes, rows: pd.DataFrame, numbers: _Numbers) -> None:
    lines = {"unmodified": FAULTY, "inverted": DOTTED}
    curves = [
        Curve(replace(_look(method), label="_", line=lines[variant]), mine, open=True)
        for (method, variant), mine in _groups(rows, "variant")
    ]
    replicates.draw(axis, curves, "density")
    style.sparsity_axis(axis, rows["density"].tolist())
    axis.set_ylim(-5, 104)
    axis.set_ylabel("Norm scales kept (%)")
    style.explain(axis, {INVERTED: lines["inverted"]})


def _draw_scores(
    axis: Axes,
    rows: pd.DataFrame,
    numbers: _Numbers,
    *,
    guessing: bool = False,
) -> None:
    """Scores with and without a fault.

    With ``guessing``, on an axis of all scores there can be, where that of guessing is known.
    """
    metric = numbers.metric
    pruned = at_init.pruned(rows)
    dense = rows[rows["method"] == "dense"]
    curves = _curves(pruned)
    replicates.dense_band(axis, dense)
    replicates.draw(axis, curves, "density")
    style.sparsity_axis(axis, pruned["density"].tolist())
    if guessing and metric.chance is not None and metric.bounds is not None:
        look = {"color": "0.3", "linewidth": 0.9, "linestyle": ":", "zorder": 1}
        axis.axhline(metric.factor * metric.chance(numbers.classes), label="Guessing", **look)
        axis.set_ylim(*(metric.factor * bound for bound in metric.bounds))
    else:
        replicates.limit(axis, curves, dense, None, metric)
    axis.set_ylabel(metric.axis)


def _draw_inverted(axis: Axes, rows: pd.DataFrame, numbers: _Numbers) -> None:
    _draw_scores(axis, rows, numbers, guessing=True)


def _draw_grasp(axis: Axes, rows: pd.DataFrame, numbers: _Numbers) -> None:
    _draw_scores(axis, rows, numbers)


def _draw_synflow(axis: Axes, rows: pd.DataFrame, numbers: _Numbers) -> None:
    _draw_scores(axis, rows, numbers)


def _draw_removed(axis: Axes, rows: pd.DataFrame, numbers: _Numbers) -> None:
    look = {"color": "0.8", "linewidth": 3, "zorder": 1}
    axis.plot([0, 100], [0, 100], label="As many as asked for", **look)
    for curve in _curves(rows):
        mine = curve.rows.assign(asked=100 * (1 - curve.rows["density"])).sort_values("asked")
        replicates.draw(axis, [replace(curve, rows=mine)], "asked")
    axis.set_xlim(-3, 103)
    axis.set_ylim(-5, 104)
    axis.set_xlabel("Sparsity asked for (%)")
    axis.set_ylabel("Weights removed (%)")


def _look(method: str) -> style.Style:
    right = _right(method)
    return style.method_style(right, [right])


def _curves(rows: pd.DataFrame) -> list[Curve]:
    """Solid and filled without a fault, dashed and open with it."""
    curves = []
    for (method, _), mine in _groups(rows, "variant"):
        faulty = is_faulty(method)
        look = replace(_look(method), label="_", line=FAULTY if faulty else "-")
        curves.append(Curve(look, mine, open=faulty))
    return curves


def _groups(rows: pd.DataFrame, column: str) -> list[tuple[tuple[str, str], pd.DataFrame]]:
    """Rows by method and a column, methods in the order of legends."""
    order = _methods(rows)
    groups = rows.groupby(["method", column], sort=True)
    return sorted(groups, key=lambda group: order.index(_right(group[0][0])))


def _methods(rows: pd.DataFrame) -> list[str]:
    return style.order(list({_right(method) for method in rows["method"]}))


def _explain(sheet: pages.Pages, rows: pd.DataFrame) -> None:
    """An entry of each page's legend for each method, and for what has the fault."""
    for first, *_ in sheet.panels:
        for method in _methods(rows):
            style.curve(first, [], [], replace(_look(method), line="-"))
        style.explain(first, LINES)


PANELS: Sequence[_Panel] = (
    _Panel("Norm scales kept", _scales_kept, _draw_scales),
    _Panel("Inverted masks", _inverted, _draw_inverted),
    _Panel("GraSP", _grasp, _draw_grasp),
    _Panel("SynFlow, weights removed", _synflow_removed, _draw_removed),
    _Panel("SynFlow, {score}", _synflow, _draw_synflow),
)
