"""Figures of Renda et al. (2020): how to retrain what was pruned.

F1 to F5 of the reference: the score against compression with the best validated retrain time (F1),
the proposed algorithm (F2) and one fixed retrain time per method (F3); the score against retrain
time (F4); theoretical speed-ups (F5).
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from pruning.analysis import cells as cell_tables
from pruning.analysis.published import network_cells, read_literature
from pruning.analysis.score import only
from pruning.errors import PruningError
from pruning.figures import pages, style
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
POINTS, SPREAD = "medians over n replicates", "minimum to maximum"
COST_COLUMNS = (
    "speedup",
    "speedup_min",
    "speedup_max",
    "relative_to_fine_tune",
    "relative_min",
    "relative_max",
)
COLLAPSED = 0.5  # of the range of a score: what is so much worse sets no end of an axis


def accuracy_vs_compression(tidy: pd.DataFrame, context: Context) -> Drawn:
    """Change of the score against compression ratio, a panel per study and pruning mode (F1-F3).

    A point is the median over replicates, its bar runs from the minimum to the maximum; the grey
    band is the spread of the dense networks about their mean. Settings: ``rule`` (a key of
    :data:`RULES`), ``methods``, ``modes``, ``literature`` (whether to show other papers' points).
    """
    table = _chosen(cell_tables.cells(tidy), context, context.settings["rule"])
    keys = _panels(table, context)
    methods = style.order(list(dict.fromkeys(cell_tables.pruned(table)["method"])))
    cells = {key: _panel_cells(table, *key) for key in keys}
    drawn = {
        (study, mode): _shown_densities(here, context.option(study, "xlim"))
        for (study, mode), here in cells.items()
    }
    sheet, axes = pages.panels(len(keys))
    shown = []
    for panel, ((study, mode), here) in zip(axes, drawn.items(), strict=True):
        dense = table[(table["study"] == study) & (table["method"] == "dense")]
        published = _published(here, context, context.settings["rule"])
        points = _literature(here, context)
        style.dense_band(panel, *dense.iloc[0][["min", "max"]], spread=SPREAD)
        _lines(panel, here, methods, x="density")
        _published_lines(panel, published, methods, x="density")
        _literature_points(panel, points)
        style.compression_axis(panel, here["density"])
        _limit(panel, context.option(study, "ylim"), here, published, points, dense)
        panel.set_title(_title(context, study, mode, here["n"].max(), dense["n"].max()))
        shown += [dense, here, published, points]
    metrics = [only(here["metric"]) for here in cells.values()]
    _share_scores(axes, metrics, [context.option(study, "ylim") for study, _ in keys])
    _label_scores(axes, metrics)
    pages.finish(sheet, points=POINTS, spread=SPREAD, note=_left_out(cells, drawn, context))
    return Drawn(sheet, _written(shown))


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
    sheet, grid = pages.grid(len(rows), max(len(row) for _, row in rows))
    shown: list[pd.DataFrame] = []
    together: dict[tuple[str, str], list[Axes]] = {}
    for axes, (key, levels) in zip(grid, rows, strict=True):
        for panel, here in zip(axes, levels, strict=False):
            shown += _against_time(panel, here, methods, context)
            together.setdefault(key, []).append(panel)
        for spare in axes[len(levels) :]:
            spare.remove()
        axes[0].set_ylabel(only(levels[0]["metric"]).change_axis)
    for compared in together.values():
        pages.share_y(compared)
    pages.finish(
        sheet, points=POINTS, spread=SPREAD, note="T: epochs of the original training, the last."
    )
    return Drawn(sheet, _written(shown))


def speedup(tidy: pd.DataFrame, context: Context) -> Drawn:
    """Theoretical speed-up against compression ratio, and beside that of fine-tuning (F5).

    Of the best validated cells that have a cost, two rows of panels for every three studies; the
    second where networks were fine-tuned. Settings: ``methods``, ``modes``.
    """
    table = _with_costs(_chosen(cell_tables.cells(tidy), context, "best_validated"))
    keys = _panels(table, context)
    methods = style.order(list(dict.fromkeys(table["method"])))
    values = [v for v in SPEEDS if table[v].notna().any()]
    chunks = [keys[i : i + pages.COLUMNS] for i in range(0, len(keys), pages.COLUMNS)]
    sheet, grid = pages.grid(len(values) * len(chunks), len(chunks[0]))
    shown = []
    for place, chunk in enumerate(chunks):
        rows = grid[place * len(values) : (place + 1) * len(values)]
        for column, key in enumerate(chunk):
            here = _panel_cells(table, *key)
            published = _published(here, context, "best_validated")
            published = _with_costs(published) if len(published) else published
            for value, row in zip(values, rows, strict=True):
                lines = here if value == "speedup" else here[here["method"] != "fine_tune"]
                panel = row[column]
                _lines(panel, lines, methods, x="density", value=value, ends=SPEEDS[value][1])
                _published_lines(panel, published, methods, x="density", value=value)
                style.compression_axis(panel, here["density"])
                panel.set_title(_title(context, *key, here["n"].max()))
                if value != "speedup":
                    style.reference_line(panel, 1, "As fast as fine-tuned")
            shown += [here, published]
        for value, row in zip(values, rows, strict=True):
            for spare in row[len(chunk) :]:
                spare.remove()
            row[0].set_ylabel(SPEEDS[value][0])
    for place, _ in enumerate(values):
        pages.share_y(p for row in grid[place :: len(values)] for p in row if p.figure)
    pages.finish(
        sheet,
        points=POINTS,
        spread=SPREAD,
        note="Speed-up: multiply-accumulates of the dense network over those of the pruned one, "
        "masked weights skipped; no measured time.",
    )
    return Drawn(sheet, _written(shown, COST_COLUMNS))


# Label of the axis, and ends of the bars, of each value that the speed-ups show.
SPEEDS = {
    "speedup": ("Theoretical speed-up", ("speedup_min", "speedup_max")),
    "relative_to_fine_tune": ("Over that of\nfine-tuning", ("relative_min", "relative_max")),
}


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
    return [tables[i : i + pages.COLUMNS] for i in range(0, len(tables), pages.COLUMNS)]


def _left_out(
    cells: Mapping[tuple[str, str], pd.DataFrame],
    drawn: Mapping[tuple[str, str], pd.DataFrame],
    context: Context,
) -> str:
    """What is said of levels that a study's ``xlim`` leaves out."""
    cut = {study for (study, mode), here in cells.items() if len(drawn[study, mode]) < len(here)}
    told = [f"{context.title(s)}: up to {style.ratio(context.option(s, 'xlim'))}." for s in cut]
    return " ".join(sorted(told))


def _with_costs(table: pd.DataFrame) -> pd.DataFrame:
    table = cell_tables.pruned(table)
    table = table[table["n_macs"] > 0]
    table = table.assign(**cell_tables.speedup(table))
    keys = ["study", "variant", "level"]
    reference = table[table["method"] == "fine_tune"].set_index(keys)["macs"]
    own = table.set_index(keys)
    reference = reference.reindex(own.index)
    return table.assign(
        relative_to_fine_tune=(reference / own["macs"]).values,
        relative_min=(reference / own["macs_max"]).values,
        relative_max=(reference / own["macs_min"]).values,
        n=table["n_macs"],
    )


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


def _against_time(
    panel: Axes, here: pd.DataFrame, methods: list[str], context: Context
) -> list[pd.DataFrame]:
    """One level against retrain time, within the safe zone and without; what is drawn."""
    study, mode = here[["study", "variant"]].iloc[0]
    published = _published(here, context, "all")
    training_time = here["training_time"].iloc[0]
    low, high = cell_tables.SAFE_ZONE
    zone = {"color": "0.93", "linewidth": 0, "zorder": 0}
    panel.axvspan(low * training_time, high * training_time, label=ZONE, **zone)
    style.reference_line(panel)
    _lines(panel, here, methods, x="retrain_time")
    _published_lines(panel, published, methods, x="retrain_time")
    panel.set_xlim(0, 1.04 * training_time)
    _limit(panel, context.option(study, "retrain_ylim"), here, published)
    ratio = style.ratio(here["compression_ratio"].iloc[0])
    what = f"{MODES.get(mode, mode)}, {ratio} (n={here['n'].max()})"
    panel.set_title(f"{context.title(study)}\n{what}")
    panel.set_xlabel("Retrain time (epochs)")
    return [here, published]


ZONE = "Rewinding safe zone, {:g} T to {:g} T".format(*cell_tables.SAFE_ZONE)


def _lines(
    axes: Axes,
    here: pd.DataFrame,
    methods: list[str],
    *,
    x: str,
    value: str = "median",
    ends: tuple[str, str] = ("min", "max"),
) -> None:
    present = [m for m in methods if m in set(here["method"])]
    for place, method in enumerate(present):
        line = here[here["method"] == method].sort_values(x, ascending=x != "density")
        look = style.method_style(method, methods)
        bars = [line[value] - line[ends[0]], line[ends[1]] - line[value]]
        at = style.dodged(line[x], place, len(present), log=x == "density", ticks=here[x].unique())
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
        look = style.Style(source, "0.15", rows["marker"].iloc[0], "none")
        bars = [rows["median"] - rows["min"], rows["max"] - rows["median"]]
        face = {"markerfacecolor": "none", "markeredgecolor": "0.15", "zorder": 3}
        style.curve(axes, rows["density"], rows["median"], look, bars, **face)


def _limit(axes: Axes, ylim: Sequence[float] | None, *tables: pd.DataFrame) -> None:
    """The ends of the score axis: as asked for, or around everything that is drawn.

    What is worse by half of the score's range (rewinding to an untrained network at the last rate)
    leaves the frame, and is marked at its edge.
    """
    if ylim is None:
        rows = pd.concat([table for table in tables if len(table)])
        metric = only(tables[0]["metric"])
        if metric.bounds is not None:
            far = COLLAPSED * metric.factor * (metric.bounds[1] - metric.bounds[0])
            rows = rows[metric.sign * rows["median"] >= -far]
        low, high = min(0.0, rows["min"].min()), max(0.0, rows["max"].max())
        margin = 0.06 * max(high - low, metric.resolution)
        ylim = (low - margin, high + margin)
    axes.set_ylim(*ylim)


def _share_scores(axes: Sequence[Axes], metrics: Sequence[Metric], ylims: Sequence[Any]) -> None:
    """One value axis for all panels, unless a study asks for its own or has another score."""
    if len(set(metrics)) == 1 and not any(ylims):
        pages.share_y(axes)


def _label_scores(axes: Sequence[Axes], metrics: Sequence[Metric]) -> None:
    """The score at the left of each row, and where it differs from its neighbour's."""
    for panel, metric in style.first_of_rows(axes, metrics):
        panel.set_ylabel(metric.change_axis)


def _title(
    context: Context, study: str, mode: str, n: int | None = None, dense: int | None = None
) -> str:
    mode = MODES.get(mode, mode)
    if n is not None:
        mode += f" (n={n})" if dense in (None, n) else f" (n={n}, dense n={dense})"
    return style.title(context.title(study), mode)
