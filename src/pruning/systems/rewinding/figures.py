"""Figures of Renda et al. (2020): how to retrain what was pruned.

F1 to F5 of the reference: the score against compression with the best validated retrain time (F1),
the proposed algorithm (F2) and one fixed retrain time per method (F3); the score against retrain
time (F4); theoretical speed-ups (F5).
"""

from collections.abc import Sequence
from functools import partial

import pandas as pd
from matplotlib.axes import Axes

from pruning.analysis import cells as cell_tables
from pruning.analysis.published import network_cells, read_literature
from pruning.analysis.score import only
from pruning.errors import PruningError
from pruning.figures import style
from pruning.figures.context import Context, Drawn
from pruning.systems.rewinding.rules import CORE
from pruning.training.metric import Metric

MODES = {
    "iterative": "iterative",
    "one_shot": "one-shot",
    "structured_a": "structured A",
    "structured_b": "structured B",
}
RULES = {
    "best_validated": cell_tables.best_validated,
    "single_rule": partial(cell_tables.single_rule, methods=CORE),
    "all": lambda table: table,
}
COLUMNS = (
    "source",
    "study",
    "variant",
    "method",
    "level",
    "density",
    "compression_ratio",
    "retrain_time",
    "unit",
    "median",
    "min",
    "max",
    "n",
)
LEVELS_BESIDE = 5  # panels of the score against retrain time in a row
COST_COLUMNS = ("speedup", "speedup_min", "speedup_max", "relative_to_fine_tune")


def accuracy_vs_compression(tidy: pd.DataFrame, context: Context) -> Drawn:
    """Change of the score against compression ratio, a panel per study and pruning mode (F1-F3).

    A point is the median over replicates, its bar runs from the minimum to the maximum; the grey
    band is the spread of the dense networks about their mean. Settings: ``rule`` (a key of
    :data:`RULES`), ``methods``, ``modes``, ``literature`` (whether to show other papers' points).
    """
    table = _chosen(cell_tables.cells(tidy), context, context.settings["rule"])
    keys = _panels(table, context)
    methods = style.order(list(dict.fromkeys(cell_tables.pruned(table)["method"])))
    figure, axes = style.panels(len(keys))
    shown = []
    for panel, (study, mode) in zip(axes, keys, strict=True):
        here = _shown_densities(_panel_cells(table, study, mode), context.option(study, "xlim"))
        dense = table[(table["study"] == study) & (table["method"] == "dense")]
        published = _published(here, context, context.settings["rule"])
        points = _literature(here, context)
        style.dense_band(panel, *dense.iloc[0][["min", "max"]])
        _lines(panel, here, methods, x="density")
        _published_lines(panel, published, methods, x="density")
        _literature_points(panel, points)
        style.compression_axis(panel, here["density"].tolist())
        _limit(panel, here, context.option(study, "ylim"), published, points, dense)
        panel.set_title(_title(context, study, mode, here["n"].max(), dense["n"].max()))
        shown += [dense, here, published, points]
    _label_scores(axes, [only(_panel_cells(table, *key)["metric"]) for key in keys])
    style.legend(figure, axes)
    return Drawn(figure, _written(shown))


def accuracy_vs_retrain_time(tidy: pd.DataFrame, context: Context) -> Drawn:
    """Change of the score against retrain time, a panel per level (F4).

    Each study and mode begins a row. Methods are compared at equal retraining time; nothing is
    selected. The band is the rewinding safe zone. Settings: ``methods``, ``modes``; a study's
    ``retrain_levels`` names the levels.
    """
    table = _chosen(cell_tables.cells(tidy), context, "all")
    keys = _panels(table, context)
    methods = style.order(list(dict.fromkeys(cell_tables.pruned(table)["method"])))
    rows = [(key, row) for key in keys for row in _rows(_panel_cells(table, *key), context)]
    figure, grid = style.grid(len(rows), max(len(row) for _, row in rows))
    shown, labels = [], []
    for axes, ((study, mode), levels) in zip(grid, rows, strict=True):
        for panel, here in zip(axes, levels, strict=False):
            published = _published(here, context, "all")
            training_time = here["training_time"].iloc[0]
            low, high = cell_tables.SAFE_ZONE
            panel.axvspan(low * training_time, high * training_time, color="0.93", linewidth=0)
            style.reference_line(panel)
            _lines(panel, here, methods, x="retrain_time")
            _published_lines(panel, published, methods, x="retrain_time")
            panel.set_xlim(0, 1.04 * training_time)
            _limit(panel, here, None, published)
            ratio = style.ratio(here["compression_ratio"].iloc[0])
            panel.set_title(f"{context.title(study)}\n{MODES.get(mode, mode)}, {ratio}")
            panel.set_xlabel("Retrain time (epochs)")
            shown += [here, published]
        for spare in axes[len(levels) :]:
            spare.remove()
        labels.append((axes[0], only(levels[0]["metric"])))
    for panel, metric in labels:
        panel.set_ylabel(metric.change_axis)
    style.legend(figure, [panel for axes in grid for panel in axes])
    return Drawn(figure, _written(shown))


def speedup(tidy: pd.DataFrame, context: Context) -> Drawn:
    """Theoretical speed-up, and cost relative to fine-tuning, against compression ratio (F5).

    Of the best validated cells that have a cost. Settings: ``methods``, ``modes``.
    """
    table = _with_costs(_chosen(cell_tables.cells(tidy), context, "best_validated"))
    keys = _panels(table, context)
    methods = style.order(list(dict.fromkeys(table["method"])))
    figure, grid = style.grid(2, len(keys))
    shown = []
    for column, (study, mode) in enumerate(keys):
        here = _panel_cells(table, study, mode)
        published = _published(here, context, "best_validated")
        published = _with_costs(published) if len(published) else published
        for row, (value, ends) in enumerate(
            (("speedup", ("speedup_min", "speedup_max")), ("relative_to_fine_tune", None))
        ):
            panel = grid[row][column]
            _lines(panel, here, methods, x="density", value=value, ends=ends)
            _published_lines(panel, published, methods, x="density", value=value)
            style.compression_axis(panel, here["density"].tolist())
            panel.set_title(_title(context, study, mode))
        style.reference_line(grid[1][column], 1, label=None)
        shown += [here, published]
    grid[0][0].set_ylabel("Theoretical speed-up")
    grid[1][0].set_ylabel("MACs of fine-tuned / of method")
    style.legend(figure, [panel for axes in grid for panel in axes])
    return Drawn(figure, _written(shown, COST_COLUMNS))


# -- which cells --------------------------------------------------------------------------------


def _chosen(table: pd.DataFrame, context: Context, rule: str) -> pd.DataFrame:
    """The cells that a figure shows: its methods, its modes, its retrain times."""
    methods, modes = context.settings.get("methods"), context.settings.get("modes")
    keep = table["method"] == "dense"
    wanted = ~keep
    if methods is not None:
        wanted &= table["method"].isin(methods)
    if modes is not None:
        wanted &= table["variant"].str.startswith(tuple(modes))
    return RULES[rule](table[keep | wanted]).assign(source="study")


def _panels(table: pd.DataFrame, context: Context) -> list[tuple[str, str]]:
    """(study, mode) of each panel: studies as they are listed, modes as in :data:`MODES`."""
    pruned = cell_tables.pruned(table)
    found = set(zip(pruned["study"], pruned["variant"], strict=True))
    if not found:
        raise PruningError(
            f"{', '.join(context.titles)}: there are no cells of the methods and modes that this "
            "figure shows."
        )
    studies = [*context.titles, *sorted({study for study, _ in found} - set(context.titles))]
    return [(study, mode) for study in studies for mode in MODES if (study, mode) in found]


def _panel_cells(table: pd.DataFrame, study: str, mode: str) -> pd.DataFrame:
    return table[(table["study"] == study) & (table["variant"] == mode)]


def _shown_densities(here: pd.DataFrame, limit: float | None) -> pd.DataFrame:
    """Cells up to a compression ratio, where a study's ``xlim`` cuts the axis."""
    shown = here["compression_ratio"] <= (limit or 0) * 1.01  # published densities are rounded
    return here[shown] if shown.any() else here


def _rows(here: pd.DataFrame, context: Context) -> list[list[pd.DataFrame]]:
    """The cells of each level that is shown, a few levels to a row."""
    wanted = context.option(here["study"].iloc[0], "retrain_levels")
    levels = sorted(here["level"].unique())
    if wanted is not None:
        levels = [level for level in levels if level in wanted] or levels
    tables = [here[here["level"] == level] for level in levels]
    return [tables[i : i + LEVELS_BESIDE] for i in range(0, len(tables), LEVELS_BESIDE)]


def _with_costs(table: pd.DataFrame) -> pd.DataFrame:
    table = cell_tables.pruned(table)
    table = table[table["n_macs"] > 0]
    table = table.assign(**cell_tables.speedup(table))
    keys = ["study", "variant", "level"]
    reference = table[table["method"] == "fine_tune"].set_index(keys)["macs"]
    own = table.set_index(keys)
    relative = (reference.reindex(own.index) / own["macs"]).values
    return table.assign(relative_to_fine_tune=relative, n=table["n_macs"])


def _published(here: pd.DataFrame, context: Context, rule: str) -> pd.DataFrame:
    """Published cells to lay over a panel: same score, mode and methods, in its range of densities.

    Retrain times of another T are shown at the same fraction of T.
    """
    reference = context.option(here["study"].iloc[0], "published") if len(here) else None
    if reference is None:
        return here.iloc[:0]
    table = RULES[rule](network_cells(reference, context.resources))
    table = table[
        (table["metric"] == here["metric"].iloc[0])
        & (table["variant"] == here["variant"].iloc[0])
        & table["method"].isin(here["method"])
    ]
    low, high = here["density"].min(), here["density"].max()
    table = table[table["density"].between(low * 0.98, high * 1.02)]
    if low == high and len(table):  # one level: the published one that is nearest
        distance = (table["density"] / low - 1).abs()
        table = table[distance == distance.min()]
    scale = here["training_time"].iloc[0] / table["training_time"]
    return table.assign(source=reference, retrain_time=table["retrain_time"] * scale)


def _literature(here: pd.DataFrame, context: Context) -> pd.DataFrame:
    """Points of other papers for a panel's network and mode, where the figure shows them."""
    if not context.settings.get("literature"):
        return here.iloc[:0]
    points = read_literature("renda2020", context.resources)
    reference = context.option(here["study"].iloc[0], "published")
    if reference is not None:  # the study says what it is to be compared with
        mine = points["network"] == reference.partition(":")[2]
    else:
        network, dataset = here[["network", "dataset"]].iloc[0]
        mine = (points["network"] == network) & (points["dataset"] == dataset)
    sources = list(dict.fromkeys(points["source"]))
    points = points.assign(marker=points["source"].map(style.literature_markers(sources)))
    mine &= points["unit"] == here["unit"].iloc[0]
    points = points[mine & (points["variant"] == here["variant"].iloc[0])]
    spread = points["spread"].fillna(0)
    return points.assign(
        study=here["study"].iloc[0],
        method="literature",
        compression_ratio=1 / points["density"],
        median=points["change"],
        min=points["change"] - spread,
        max=points["change"] + spread,
    )


def _written(tables: Sequence[pd.DataFrame], more: tuple[str, ...] = ()) -> pd.DataFrame:
    filled = [table for table in tables if len(table)]
    if not filled:
        return pd.DataFrame(columns=[*COLUMNS, *more])
    table = pd.concat(filled).drop_duplicates()
    return table.reindex(columns=[*COLUMNS, *more])


# -- drawing ------------------------------------------------------------------------------------


def _lines(
    axes: Axes,
    here: pd.DataFrame,
    methods: list[str],
    *,
    x: str,
    value: str = "median",
    ends: tuple[str, str] | None = ("min", "max"),
) -> None:
    present = [m for m in methods if m in set(here["method"])]
    for place, method in enumerate(present):
        line = here[here["method"] == method].sort_values(x, ascending=x != "density")
        look = style.method_style(method, methods)
        bars = None
        if ends is not None:
            bars = [line[value] - line[ends[0]], line[ends[1]] - line[value]]
        at = style.dodged(line[x], place, len(present), log=x == "density")
        style.curve(axes, at, line[value], look, bars)


def _published_lines(
    axes: Axes, published: pd.DataFrame, methods: list[str], *, x: str, value: str = "median"
) -> None:
    """Published medians: thin, dashed, in their method's colour."""
    if published.empty:
        return
    name = style.published_name(published["source"].iloc[0])
    look = {"linewidth": 0.7, "linestyle": "--", "zorder": 1.5}
    axes.plot([], [], color="0.35", label=name, **look)
    for method in (m for m in methods if m in set(published["method"])):
        line = published[published["method"] == method].sort_values(x)
        color = style.color(style.method_style(method, methods))
        axes.plot(line[x], line[value], color=color, **look)


def _literature_points(axes: Axes, points: pd.DataFrame) -> None:
    for source, rows in points.groupby("source", sort=True):
        axes.errorbar(
            rows["density"],
            rows["median"],
            yerr=[rows["median"] - rows["min"], rows["max"] - rows["median"]],
            label=source,
            color="0.15",
            marker=rows["marker"].iloc[0],
            markerfacecolor="none",
            linestyle="none",
            elinewidth=0.8,
            capsize=1.5,
            zorder=3,
        )


def _limit(
    axes: Axes, here: pd.DataFrame, ylim: Sequence[float] | None, *others: pd.DataFrame
) -> None:
    """The ends of the score axis: as asked for, or around the main methods.

    What is far worse (rewinding to an untrained network at the last rate) leaves the frame.
    """
    if ylim is None:
        main = here[here["method"].isin(CORE)]
        main = main if len(main) else here
        tables = [main, *(table for table in others if len(table))]
        all_of_them = [here, *tables[1:]]
        metric = only(here["metric"])
        below, above = tables, all_of_them
        if not metric.higher_is_better:
            below, above = above, below
        low = min(0.0, *(table["min"].min() for table in below))
        high = max(0.0, *(table["max"].max() for table in above))
        margin = 0.06 * max(high - low, metric.resolution)
        ylim = (low - margin, high + margin)
    axes.set_ylim(*ylim)


def _label_scores(axes: Sequence[Axes], metrics: Sequence[Metric]) -> None:
    """The score at the left of each row, and where it differs from its neighbour's."""
    for panel, metric in style.first_of_rows(axes, metrics):
        panel.set_ylabel(metric.change_axis)


def _title(
    context: Context, study: str, mode: str, n: int | None = None, dense: int | None = None
) -> str:
    mode = MODES.get(mode, mode)
    if n is not None:
        mode += f" (n={n})" if n == dense else f" (n={n}, dense {dense})"
    return style.title(context.title(study), mode)
