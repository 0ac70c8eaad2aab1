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
CLASSES = 10
RANKED = ("kernels ranked", "norm scales ranked too")


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
    """One column of the figure: its title, the score as ``{score}``, its rows, how to draw them."""

    title: str
    rows: Callable[[_Numbers], pd.DataFrame]
    draw: Callable[[Axes, pd.DataFrame, _Numbers], None]


def reproduction_errors(tidy: pd.DataFrame, context: Context) -> Drawn:
    """The faults of a reproduction and what comes of them, a row per study.

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
    panels = [p for p in PANELS if any(len(p.rows(numbers)) for numbers in studies.values())]
    if not panels:
        raise PruningError(
            f"{', '.join(context.titles)}: there is no method that ranks norm scales "
            f"(*{NORM_SCALES}) and no {WITHOUT_MASKS}."
        )
    sheet, grid = pages.grid(len(studies), len(panels))
    shown = []
    for axes, (study, numbers) in zip(grid, studies.items(), strict=True):
        name = f"{context.title(study)} ({replicates.counts(at_init.pruned(numbers.cells))})\n"
        for axis, panel in zip(axes, panels, strict=True):
            rows = panel.rows(numbers)
            if rows.empty:
                axis.remove()
                continue
            panel.draw(axis, rows, numbers)
            title = panel.title.format(score=numbers.metric.title)
            axis.set_title(f"{name}{title}", loc="left")
            name = ""  # said once a row: there is no room over every panel
            shown.append(rows.assign(panel=title))
    _name_methods(grid[0], at_init.pruned(pd.concat(shown)))
    pages.finish(sheet)
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
    lines = {"unmodified": FAULTY, "inverted": (0, (1, 1.2))}
    curves = [
        Curve(replace(_look(method), label="_", line=lines[variant]), mine, open=True)
        for (method, variant), mine in _groups(rows, "variant")
    ]
    replicates.draw(axis, curves, "density")
    style.sparsity_axis(axis, rows["density"].tolist())
    axis.set_ylim(-5, 104)
    axis.set_ylabel("Norm scales kept (%)")
    style.explain(axis, {f"ranked, {variant}": line for variant, line in lines.items()})


def _draw_scores(
    axis: Axes,
    rows: pd.DataFrame,
    numbers: _Numbers,
    names: tuple[str, str],
    *,
    guessing: bool = False,
) -> None:
    """Scores with and without a fault; ``names`` say which line is which.

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
    style.explain(axis, dict(zip(names, ("-", FAULTY), strict=True)))


def _draw_inverted(axis: Axes, rows: pd.DataFrame, numbers: _Numbers) -> None:
    _draw_scores(axis, rows, numbers, RANKED, guessing=True)


def _draw_grasp(axis: Axes, rows: pd.DataFrame, numbers: _Numbers) -> None:
    _draw_scores(axis, rows, numbers, RANKED)


def _draw_synflow(axis: Axes, rows: pd.DataFrame, numbers: _Numbers) -> None:
    _draw_scores(axis, rows, numbers, ("with masks", "without masks"))


def _draw_removed(axis: Axes, rows: pd.DataFrame, numbers: _Numbers) -> None:
    axis.plot([0, 100], [0, 100], color="0.8", linewidth=3, zorder=1)
    axis.annotate("as asked for", (45, 50), ha="right", fontsize=6.6, color="0.35")
    for curve in _curves(rows):
        mine = curve.rows.assign(asked=100 * (1 - curve.rows["density"])).sort_values("asked")
        replicates.draw(axis, [replace(curve, rows=mine)], "asked")
    axis.set_xlim(-3, 103)
    axis.set_ylim(-5, 104)
    axis.set_xlabel("Sparsity asked for (%)")
    axis.set_ylabel("Weights removed (%)")
    style.explain(axis, {"with masks": "-", "without masks": FAULTY})


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


def _name_methods(axes: Sequence[Axes], rows: pd.DataFrame) -> None:
    """An entry of the legend for each method, with and without its fault."""
    axis = next(axis for axis in axes if axis.figure is not None)
    for method in _methods(rows):
        style.curve(axis, [], [], _look(method))


PANELS: Sequence[_Panel] = (
    _Panel("(a) norm scales kept", _scales_kept, _draw_scales),
    _Panel("(b) inverted masks", _inverted, _draw_inverted),
    _Panel("(c) GraSP, unmodified", _grasp, _draw_grasp),
    _Panel("(d) SynFlow, weights removed", _synflow_removed, _draw_removed),
    _Panel("(e) SynFlow, {score}", _synflow, _draw_synflow),
)
