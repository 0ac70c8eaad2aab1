"""Figures of Frankle et al. (2021): scores of networks pruned at initialization.

F2 to F4 and F6 of the reference: the score against sparsity (F2), ablations of the masks (F3), two
improved methods (F4), pruning later in training (F6); and how many of the kept weights take part.
Each begins from the tidy table; figures of masks are in
:mod:`pruning.systems.at_init.figures.masks`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pruning.analysis.score import only
from pruning.errors import PruningError
from pruning.figures import pages, replicates, style
from pruning.figures.context import Context, Drawn, literal
from pruning.figures.replicates import Curve
from pruning.figures.style import Style
from pruning.systems.at_init import tables as at_init
from pruning.training.metric import ACCURACY, Metric

ABLATED = ("magnitude", "snip", "grasp", "synflow")  # these first, then others that were
IMPROVED = {  # panel: method and variant of the original and of what may improve it
    "GraSP": (("grasp", "unmodified"), ("grasp_abs", "unmodified")),
    "SynFlow": (("synflow", "unmodified"), ("synflow", "shuffled")),
}
BACKGROUND = ("magnitude", "random")  # thin, behind the improved methods
SOURCES = {"comp6258": "COMP6258 reproduction", "synflow_repository": "SynFlow repository"}
POINTS, SPREAD = replicates.POINTS, replicates.SPREAD
THIN = "Thin lines are to compare with, and have no bars."
AFTER = "Levels without markers are networks pruned after the whole training."

# What is shown of magnitude pruning against time; of other methods the first.
OVER_TIME = ("unmodified", "shuffled", "reinitialized")


def accuracy_vs_sparsity(tidy: pd.DataFrame, context: Context) -> Drawn:
    """Test score of every method against sparsity, a panel per study (F2).

    A point is the mean over replicates, its bar one standard deviation to each side. Methods that
    prune after training are what the others are measured against. A study's ``at_init_ylim`` sets
    the ends of its axis, its ``at_init_published`` lays published means over it. Settings:
    ``methods``.
    """
    table = _cells(tidy, context)
    unmodified = at_init.pruned(table[table["variant"] == "unmodified"])
    _refuse_nothing(unmodified, context, "unmodified masks")
    methods = _methods(unmodified)
    names = replicates.studies(unmodified, context)
    sheet, axes = pages.panels(len(names))
    shown = []
    _label_rows(axes, names, unmodified)
    for panel, study in zip(axes, names, strict=True):
        here = unmodified[unmodified["study"] == study]
        metric = only(here["metric"])
        curves = [
            Curve(look(here, method, methods), rows) for method, rows in _by_method(here, methods)
        ]
        dense, ylim = _dense(table, study), context.option(study, "at_init_ylim")
        published = pd.concat([_published(rows, context) for _, rows in _by_method(here, methods)])
        looks = {method: look(here, method, methods) for method in published["method"].unique()}
        theirs = _lay_over(panel, published, "method", looks)
        _against_sparsity(panel, curves, dense, ylim, metric, [*curves, *theirs])
        panel.set_title(_title(context, study, replicates.counts(here, dense)))
        shown += [dense, here, published]
    _share(axes, names, unmodified, context)
    pages.finish(sheet, points=POINTS, spread=SPREAD, dashes=True)
    return Drawn(sheet, replicates.written(shown))


def ablations(tidy: pd.DataFrame, context: Context) -> Drawn:
    """What becomes of each method when its mask is changed, a panel per study and method (F3).

    Unmodified; shuffled within layers; with reinitialized weights; inverted, that is, with the
    other end of the ranking removed. Random pruning is a thin line. A study's
    ``at_init_published`` names published accuracies to lay over it, see
    :func:`pruning.systems.at_init.tables.published_for`. Settings: ``methods``.
    """
    table = _cells(tidy, context, keep=("random",))
    rows = _ablated(table, context)
    sheet, grid = pages.grid(len(rows), max(len(methods) for _, methods in rows))
    shown: list[pd.DataFrame] = []
    compared: dict[str, list[Axes]] = {}
    thin = False
    for axes, (study, methods) in zip(grid, rows, strict=True):
        here = table[table["study"] == study]
        dense, metric = _dense(table, study), only(here["metric"])
        ylim = context.option(study, "at_init_ylim")
        for panel, method in zip(axes, methods, strict=False):
            mine = here[here["method"] == method]
            background = _background(here, ("random",), but=method)
            published = _published(mine, context)
            curves = [*_variants(mine), *background]
            theirs = _lay_over(panel, published)
            _against_sparsity(panel, curves, dense, ylim, metric, [*curves, *theirs])
            name = look(mine, method, [method]).label
            panel.set_title(f"{context.title(study)}\n{name} ({replicates.counts(mine, dense)})")
            shown += [dense, published, *(curve.shown for curve in curves)]
            compared.setdefault(study, []).append(panel)
            thin |= bool(background)
        _remove(axes[len(methods) :])
        axes[0].set_ylabel(metric.axis)
    for panels in compared.values():
        pages.share_y(panels)
    pages.finish(sheet, points=POINTS, spread=SPREAD, note=THIN if thin else "", dashes=True)
    return Drawn(sheet, replicates.written(shown, ("network", "dataset")))


def improved(tidy: pd.DataFrame, context: Context) -> Drawn:
    """GraSP beside GraSP by absolute score, SynFlow beside shuffled SynFlow (F4).

    Both changes are reported to improve the method; whether they do is what this shows. A row
    per study; magnitude and random pruning are thin lines.
    """
    table = _cells(tidy, context)
    found = _keys(table, "study", "method", "variant")
    panels = {
        study: [name for name, pair in IMPROVED.items() if _has_all(found, study, pair)]
        for study in replicates.studies(table, context)
    }
    panels = {study: names for study, names in panels.items() if names}
    if not panels:
        raise PruningError(
            f"{', '.join(context.titles)}: there is neither GraSP beside GraSP by absolute score "
            "nor SynFlow beside shuffled SynFlow."
        )
    sheet, grid = pages.grid(len(panels), max(map(len, panels.values())))
    shown, thin = [], False
    for axes, (study, names) in zip(grid, panels.items(), strict=True):
        here, dense = table[table["study"] == study], _dense(table, study)
        metric = only(here["metric"])
        for panel, name in zip(axes, names, strict=False):
            background = _background(here, BACKGROUND)
            curves = [*_improvement(here, IMPROVED[name]), *background]
            thin |= bool(background)
            _against_sparsity(panel, curves, dense, context.option(study, "at_init_ylim"), metric)
            main = pd.concat([curve.rows for curve in curves if not curve.thin])
            text = f"{name} ({replicates.counts(main, dense)})"
            panel.set_title(style.title(context.title(study), text))
            shown += [dense, *(curve.shown for curve in curves)]
        _remove(axes[len(names) :])
        axes[0].set_ylabel(metric.axis)
        pages.share_y(axes[: len(names)])
    pages.finish(sheet, points=POINTS, spread=SPREAD, note=THIN if thin else "", dashes=True)
    return Drawn(sheet, replicates.written(shown))


def when(tidy: pd.DataFrame, context: Context) -> Drawn:
    """Test score against the epoch whose weights were pruned (F6).

    A panel per study and level that has several such times. Methods that prune trained networks
    are levels to compare with. Of magnitude pruning the shuffled and the reinitialized masks are
    shown too. Settings: ``methods``.
    """
    table = at_init.without_faults(_wanted(at_init.cells(tidy), context))
    keys = _several_times(table, context)
    methods = _methods(at_init.pruned(table))
    sheet, axes = pages.panels(len(keys))
    shown, after = [], False
    _label_rows(axes, [study for study, _ in keys], table)
    for panel, (study, level) in zip(axes, keys, strict=True):
        here = table[(table["study"] == study) & (table["level"] == level)]
        dense = _dense(table, study)
        curves = list(_over_time(here, methods))
        trained = _after_training(here, {curve.rows["method"].iloc[0] for curve in curves})
        levels = [
            Curve(look(here, method, methods), rows, thin=True)
            for method, rows in _by_method(trained, methods)
        ]
        ylim = context.option(study, "at_init_ylim")
        _against_time(panel, curves, levels, dense, ylim, only(here["metric"]))
        drawn = pd.concat([curve.rows for curve in [*curves, *levels]])
        sparsity = style.percent_removed(here["density"].iloc[0])
        what = f"{sparsity} % ({replicates.counts(drawn, dense)})"
        panel.set_title(style.title(context.title(study), what))
        shown += [dense, *(curve.shown for curve in [*curves, *levels])]
        after |= bool(levels)
    _share(axes, [study for study, _ in keys], table, context)
    pages.finish(sheet, points=POINTS, spread=SPREAD, note=AFTER if after else "", dashes=True)
    return Drawn(sheet, replicates.written(shown))


def effective(tidy: pd.DataFrame, context: Context) -> Drawn:
    """How many of the weights that are kept take part, against sparsity, a panel per study.

    Those that lie on a path from input to output, in percent of those that were to be kept. Open
    markers: in at least one replicate a layer is empty. Settings: ``methods``.
    """
    table = at_init.at_first(at_init.without_faults(at_init.effective(tidy)))
    table = _wanted(table[table["variant"] == "unmodified"], context)
    _refuse_nothing(table, context, "an effective density")
    methods = _methods(table)
    names = replicates.studies(table, context)
    sheet, axes = pages.panels(len(names))
    for panel, study in zip(axes, names, strict=True):
        here = table[table["study"] == study]
        curves = [Curve(look(here, m, methods), rows) for m, rows in _by_method(here, methods)]
        style.reference_line(panel, 100, "All that are kept")
        positions = replicates.draw(panel, curves, "density")
        for curve, at in zip(curves, positions, strict=True):
            _open_where_collapsed(panel, curve, at)
        style.sparsity_axis(panel, here["density"].tolist())
        panel.set_ylim(-4, max(106, 1.04 * (here["mean"] + here["std"].fillna(0)).max()))
        panel.set_title(_title(context, study, replicates.counts(here)))
    for panel in axes[:: style.COLUMNS]:
        panel.set_ylabel("Effective / kept weights (%)")
    pages.share_y(axes)
    pages.finish(sheet, points=POINTS, spread=SPREAD, dashes=True)
    return Drawn(sheet, replicates.written([table], ("collapsed",)))


def look(rows: pd.DataFrame, method: str, methods: list[str]) -> Style:
    """The style of a method; one that was never applied at initialization says so."""
    found = style.method_style(method, methods)
    first = rows.loc[rows["method"] == method, "pruned_at"].min()
    if first > 0 and found.line == "-":
        return replace(found, label=f"{found.label} (at epoch {first:g})", line="--")
    return found


# -- which cells --------------------------------------------------------------------------------


def _cells(tidy: pd.DataFrame, context: Context, keep: Iterable[str] = ()) -> pd.DataFrame:
    """Cells of the wanted methods at the first time each was applied, and the dense networks."""
    table = at_init.at_first(at_init.without_faults(at_init.cells(tidy)))
    return _wanted(table, context, keep)


def _wanted(table: pd.DataFrame, context: Context, keep: Iterable[str] = ()) -> pd.DataFrame:
    methods = context.settings.get("methods")
    if methods is None:
        return table
    return table[table["method"].isin(["dense", *methods, *keep])]


def _refuse_nothing(table: pd.DataFrame, context: Context, what: str) -> None:
    if table.empty:
        raise PruningError(
            f"{', '.join(context.titles)}: no method that this figure shows has {what}."
        )


def _methods(table: pd.DataFrame) -> list[str]:
    return style.order(list(dict.fromkeys(table["method"])))


def _by_method(here: pd.DataFrame, methods: Sequence[str]) -> Iterable[tuple[str, pd.DataFrame]]:
    """Each method that is there, with its rows."""
    groups = dict(list(here.groupby("method")))
    return [(method, groups[method]) for method in methods if method in groups]


def _dense(table: pd.DataFrame, study: str) -> pd.DataFrame:
    return table[(table["study"] == study) & (table["method"] == "dense")]


def _keys(table: pd.DataFrame, *columns: str) -> set[tuple]:
    return set(zip(*(table[column] for column in columns), strict=True))


def _ablated_in(here: pd.DataFrame, context: Context) -> list[str]:
    """Methods of a study with more than the unmodified mask."""
    changed = set(at_init.pruned(here).query("variant != 'unmodified'")["method"])
    asked = context.settings.get("methods")
    first = asked if asked is not None else ABLATED
    rest = [] if asked is not None else style.order([m for m in changed if m not in first])
    return [method for method in [*first, *rest] if method in changed]


def _ablated(table: pd.DataFrame, context: Context) -> list[tuple[str, list[str]]]:
    """Study and methods of each row of panels."""
    rows = []
    for study in replicates.studies(table, context):
        methods = _ablated_in(table[table["study"] == study], context)
        beside = pages.beside(len(methods))
        rows += [(study, methods[i : i + beside]) for i in range(0, len(methods), beside)]
    if not rows:
        raise PruningError(
            f"{', '.join(context.titles)}: no method has a shuffled, reinitialized or inverted "
            "mask."
        )
    return rows


def _variants(mine: pd.DataFrame) -> list[Curve]:
    """The curves of one method's masks."""
    return [
        Curve(replace(style.variant_look(variant), line="-"), rows)
        for variant in at_init.VARIANTS
        if len(rows := mine[mine["variant"] == variant])
    ]


def _background(here: pd.DataFrame, methods: Sequence[str], but: str = "") -> list[Curve]:
    """Thin curves of other methods."""
    rows = here[(here["variant"] == "unmodified") & (here["method"] != but)]
    return [
        Curve(style.method_style(method, list(methods)), mine, thin=True)
        for method, mine in _by_method(rows, methods)
    ]


def _has_all(found: set[tuple], study: str, pair: Iterable[tuple[str, str]]) -> bool:
    return all((study, method, variant) in found for method, variant in pair)


def _improvement(here: pd.DataFrame, pair: Iterable[tuple[str, str]]) -> list[Curve]:
    curves = []
    for method, variant in pair:
        rows = here[(here["method"] == method) & (here["variant"] == variant)]
        found = style.variant_style(style.method_style(method, [method]), variant)
        curves.append(Curve(found, rows))
    return curves


def _several_times(table: pd.DataFrame, context: Context) -> list[tuple[str, int]]:
    """Study and level of each panel: those at which a method was applied at several times."""
    rows = at_init.pruned(table[table["variant"] == "unmodified"])
    times = rows.groupby(["study", "level", "method"])["pruned_at"].nunique()
    found = {(study, level) for study, level, _ in times[times > 1].index}
    if not found:
        raise PruningError(
            f"{', '.join(context.titles)}: no method was applied at several times of the training."
        )
    order = replicates.studies(rows, context)
    return sorted(found, key=lambda key: (order.index(key[0]), key[1]))


def _over_time(here: pd.DataFrame, methods: Sequence[str]) -> Iterable[Curve]:
    """A curve of each mask with several times: unmodified ones, and magnitude's ablations."""
    for method, rows in _by_method(at_init.pruned(here), methods):
        for variant in OVER_TIME if method == "magnitude" else OVER_TIME[:1]:
            mine = rows[rows["variant"] == variant]
            if mine["pruned_at"].nunique() > 1:
                found = style.method_style(method, list(methods))
                yield Curve(style.variant_style(found, variant), mine)


def _after_training(here: pd.DataFrame, others: Iterable[str]) -> pd.DataFrame:
    """Unmodified cells of the methods that prune trained networks only."""
    rows = here[(here["variant"] == "unmodified") & ~here["method"].isin(list(others))]
    return rows[rows["pruned_at"] >= rows["training_time"]]


def _published(mine: pd.DataFrame, context: Context) -> pd.DataFrame:
    """Published accuracies of a panel's method, within its range of densities."""
    study = mine["study"].iloc[0]
    reference = context.option(study, "at_init_published")
    if reference is None or only(mine["metric"]) != ACCURACY:
        return mine.iloc[:0]
    network, dataset = mine[["network", "dataset"]].iloc[0]
    table = at_init.published_for(reference, network, dataset, context.resources)
    table = table[
        (table["method"] == mine["method"].iloc[0])
        & table["variant"].isin(mine["variant"])
        & table["density"].between(mine["density"].min() * 0.98, mine["density"].max() * 1.02)
    ]
    table = table.dropna(subset="accuracy")  # some were reported and are not what they say
    return table.drop(columns="note").rename(columns={"accuracy": "mean"}).assign(study=study)


# -- drawing ------------------------------------------------------------------------------------


def _against_sparsity(
    panel: Axes,
    curves: Sequence[Curve],
    dense: pd.DataFrame,
    ylim: Sequence[float] | None,
    metric: Metric,
    limits: Sequence[Curve] | None = None,
) -> None:
    """Curves over the dense networks; ``limits`` are all that is drawn, where that is more."""
    replicates.dense_band(panel, dense)
    replicates.draw(panel, curves, "density")
    style.sparsity_axis(panel, [d for curve in curves for d in curve.rows["density"]])
    replicates.limit(panel, curves if limits is None else limits, dense, ylim, metric)


def _against_time(
    panel: Axes,
    curves: Sequence[Curve],
    levels: Sequence[Curve],
    dense: pd.DataFrame,
    ylim: Sequence[float] | None,
    metric: Metric,
) -> None:
    """Curves over the dense networks and over the levels of what prunes trained ones."""
    replicates.dense_band(panel, dense)
    for line in levels:
        _level_line(panel, line)
    replicates.draw(panel, curves, "pruned_at")
    last = max(curve.rows["pruned_at"].max() for curve in curves)
    panel.set_xlim(-0.04 * last, 1.04 * last)
    panel.xaxis.set_major_locator(MaxNLocator(6))
    panel.set_xlabel("Pruned after (epochs)")
    replicates.limit(panel, [*curves, *levels], dense, ylim, metric)


def _lay_over(
    panel: Axes,
    published: pd.DataFrame,
    by: str = "variant",
    looks: Mapping[str, Style] = style.VARIANTS,
) -> list[Curve]:
    """Published accuracies: thin, dashed, in the colour of their variant, or of what ``by`` says.

    What is drawn comes back.
    """
    if published.empty:
        return []
    source, network, dataset = published[["source", "network", "dataset"]].iloc[0]
    network = style.NETWORKS.get(network, network)
    dataset = style.DATASETS.get(dataset, dataset)
    line = {"linewidth": 0.7, "linestyle": "--", "zorder": 1.5}
    label = literal(f"{network}, {dataset}, published ({SOURCES.get(source, source)})")
    panel.plot([], [], color="0.35", label=label, **line)
    curves = [
        Curve(looks[name], rows.sort_values("density").assign(std=float("nan")))
        for name, rows in published.groupby(by, sort=False)
    ]
    for curve in curves:
        color = style.color(curve.look)
        panel.plot(curve.rows["density"], curve.rows["mean"], color=color, **line)
    return curves


def _level_line(panel: Axes, curve: Curve) -> None:
    panel.axhline(
        curve.rows["mean"].iloc[0],
        color=style.color(curve.look),
        linestyle=curve.look.line,
        label=curve.look.label,
        zorder=1.2,
    )


def _open_where_collapsed(panel: Axes, curve: Curve, at: pd.Series) -> None:
    rows = curve.rows.loc[at.index]
    empty = rows["collapsed"] > 0
    if not empty.any():
        return
    shape = {"linestyle": "none", "markerfacecolor": "white", "zorder": 4}
    color = style.color(curve.look)
    panel.plot(at[empty], rows["mean"][empty], marker=curve.look.marker, color=color, **shape)
    panel.plot([], [], marker="o", color="0.35", label="A layer is empty", **shape)


def _share(
    axes: Sequence[Axes], studies: Sequence[str], table: pd.DataFrame, context: Context
) -> None:
    """One value axis for studies of the same task, which are compared.

    Those that ask for ends of their own keep them.
    """
    together: dict[tuple, list[Axes]] = {}
    for panel, study in zip(axes, studies, strict=True):
        rows = table[table["study"] == study]
        asked = study if context.option(study, "at_init_ylim") is not None else ""
        key = (only(rows["metric"]), rows["dataset"].iloc[0], asked)
        together.setdefault(key, []).append(panel)
    for panels in together.values():
        pages.share_y(panels)


def _title(context: Context, study: str, what: str) -> str:
    """A study and how many replicates, on two lines where one is not long enough."""
    name = context.title(study)
    gap = " " if len(name) + len(what) < style.TITLE_LENGTH else "\n"
    return f"{name}{gap}({what})"


def _label_rows(axes: Sequence[Axes], studies: Sequence[str], table: pd.DataFrame) -> None:
    """The score of each study, at the left of a row and where it changes."""
    metrics = [only(table.loc[table["study"] == study, "metric"]) for study in studies]
    for panel, metric in style.first_of_rows(axes, metrics):
        panel.set_ylabel(metric.axis)


def _remove(axes: Iterable[Axes]) -> None:
    for spare in axes:
        spare.remove()
