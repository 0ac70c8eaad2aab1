"""The table of results of Lym et al. (2019): what PruneTrain saves and what is left of the score.

Costs are counted as the authors count them and in percent of the network as built, trained as long,
so that they can be held beside what was published.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill

import pandas as pd
from matplotlib.axes import Axes

from pruning.analysis import replicates as summaries
from pruning.analysis.score import only, scored
from pruning.analysis.score import shown as as_shown
from pruning.figures import pages, replicates
from pruning.figures.context import Context, Drawn, nothing
from pruning.figures.pages import Pages
from pruning.figures.sizes import PAGE, ROOM, SMALLEST
from pruning.systems.prunetrain.communication import communication
from pruning.systems.prunetrain.figures.panels import TRAINING, of_first, shrinking
from pruning.systems.prunetrain.figures.scores import published_accuracies
from pruning.systems.prunetrain.rules import FINE_TUNED, UNMODIFIED

PRUNETRAIN = "prunetrain"
CELL = ["study", "network", "dataset", "variant", "level", "ratio"]
OURS = "this study"
POINTS = "Means over n replicates"
NONE = "\N{EN DASH}"  # where nothing is known
LINE, AROUND = 0.118, 0.1  # inches: a line of a row, and what is around its lines
NAME_LENGTH = 18  # characters of a line of text


@dataclass(frozen=True)
class Column:
    """A column of numbers: its heading, its width in parts of the page, and its decimals."""

    heading: str
    width: float
    decimals: int = 1


COLUMNS = {
    "training_removed": Column("Training\nMACs\ncut (%)", 0.077),
    "inference_removed": Column("Inference\nMACs\ncut (%)", 0.087),
    "score": Column("Test\nscore", 0.077),
    "score_change": Column("Change", 0.104, 2),
    "seconds": Column("Time of\nan epoch\n(% left)", 0.072, 0),
    "memory": Column("Memory\nat the end\n(% left)", 0.08, 0),
    "norm_traffic": Column("Batch-norm\ntraffic\n(% left)", 0.088),
    "bytes": Column("Gradients\nexchanged\n(% left)", 0.085),
}
WIDTHS = (0.142, 0.056, *(column.width for column in COLUMNS.values()), 0.132)


def results(table: pd.DataFrame, context: Context) -> Drawn:
    """PruneTrain at each penalty ratio, a row each, with published rows below.

    Numbers are means over replicates with one standard deviation. Training MACs, what batch norms
    move and the gradients that workers would exchange are of the whole training, in percent of a
    training of the same length that cuts nothing; memory is that of its last epoch. Published rows
    are of the same network and data set, where the study's ``prunetrain_published`` names a source;
    the last column says how far they can be trusted. Draws from the tables ``prunetrain_epochs``
    and ``prunetrain_seconds`` too.
    """
    rows = _trainings(table, context)
    names = replicates.studies(rows, context)
    if not names:
        raise nothing(context, "no network shrank by PruneTrain.")
    blocks = []
    for study in names:
        here = rows[rows["study"] == study]
        blocks += [_summed(here), _published(here, context)]
    shown = pd.concat([block for block in blocks if len(block)], ignore_index=True)
    cells, headings = _cells(shown, context), _headings(rows["metric"])
    return Drawn(_draw(cells, headings, list(shown["trust"] != OURS)), shown)


# -- which rows ---------------------------------------------------------------------------------


def _trainings(table: pd.DataFrame, context: Context) -> pd.DataFrame:
    """A row per training, with every column of the table."""
    rows = scored(table)
    rows = rows.assign(score=as_shown(rows["value"], rows["metric"]))
    dense = rows[rows["method"] == "dense"].set_index(["study", "seed"])
    mine = rows[(rows["method"] == PRUNETRAIN) & rows["variant"].isin((UNMODIFIED, FINE_TUNED))]
    mine = mine.join(_beside(dense), on="study")
    per_epoch = mine["seconds"] / mine["retrain_time"]
    own_dense = dense["score"].rename("own_dense")
    mine = mine.join(own_dense, on=["study", "seed"])
    mine = mine.assign(
        inference_removed=100 * (1 - mine["macs"] / mine["dense_macs"]),
        score_change=mine["score"] - mine["own_dense"],
        seconds=100 * per_epoch / mine["dense_seconds"],
    )
    epochs = shrinking(context.tables["prunetrain_epochs"], PRUNETRAIN)
    seconds = shrinking(context.tables["prunetrain_seconds"], PRUNETRAIN)
    keys = ["study", "level", "seed"]
    costs = _costs(epochs, seconds).reset_index().set_index(keys)
    mine = mine.join(costs[["ratio", *_OF_TRAINING]], on=keys)
    # What a network trains on by is dense in nothing: these are of the training that shrank it.
    mine.loc[mine["variant"] == FINE_TUNED, list(_OF_TRAINING)] = float("nan")
    return mine


def _beside(dense: pd.DataFrame) -> pd.DataFrame:
    """Of each study the MACs of the dense network, and the seconds of an epoch of its training."""
    found = {
        "dense_macs": dense["macs"],
        # None of a network from a file, which did not train here.
        "dense_seconds": dense["seconds"].where(dense["seconds"] > 0) / dense["training_time"],
    }
    return pd.DataFrame(found).groupby("study").mean()


_OF_TRAINING = ("training_removed", "memory", "norm_traffic", "bytes")


def _costs(epochs: pd.DataFrame, seconds: pd.DataFrame) -> pd.DataFrame:
    """What a training cost in percent of one that cuts nothing, by training."""
    keys = list(TRAINING)

    def whole(column: str) -> pd.Series:
        share = epochs.assign(share=of_first(epochs, column))
        return share.groupby(keys)["share"].mean()

    last = epochs.assign(share=of_first(epochs, "memory")).sort_values("epoch", kind="stable")
    sent = seconds.sort_values("epoch", kind="stable")
    first = sent.groupby(keys)["parameters"].transform("first")
    sent = sent.assign(
        sent=[communication(*row) for row in zip(sent["parameters"], sent["steps"], strict=True)],
        uncut=[communication(*row) for row in zip(first, sent["steps"], strict=True)],
    )
    totals = sent.groupby(keys)[["sent", "uncut"]].sum()
    found = {
        "training_removed": 100 - whole("training_macs"),
        "memory": last.groupby(keys)["share"].last(),
        "norm_traffic": whole("norm_traffic"),
        "bytes": 100 * totals["sent"] / totals["uncut"],
    }
    return pd.DataFrame(found)


def _summed(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean, deviation and number over replicates of every column, by cell."""
    found = rows[CELL].drop_duplicates().reset_index(drop=True)
    for name in COLUMNS:
        mine = summaries.summed_up(rows, name, CELL)
        found = found.assign(**{name: mine["mean"], f"{name}_std": mine["std"]})
    number = rows.groupby(CELL, dropna=False, sort=False)["seed"].nunique()
    return found.assign(n=number.to_numpy(), source="study", trust=OURS)


def _published(here: pd.DataFrame, context: Context) -> pd.DataFrame:
    """Published rows of the study's network and data set that have a number of the table."""
    rows = published_accuracies(here, context)
    if rows.empty:
        return pd.DataFrame()
    whole = rows["training_macs"].notna()  # else costs are of the last network alone
    rows = rows.assign(
        training_removed=100 - rows["training_macs"],
        inference_removed=100 - rows["inference_macs"],
        score=rows["mean"],
        norm_traffic=rows["norm_traffic"].where(whole),
    )
    return rows.reindex(columns=[*CELL, *COLUMNS, "source", "trust"])


# -- drawing ------------------------------------------------------------------------------------


def _cells(shown: pd.DataFrame, context: Context) -> list[list[str]]:
    """What is written in each row."""
    cells = []
    for _, row in shown.iterrows():
        mine = row["trust"] == OURS
        name = context.title(row["study"]) if mine else "Published"
        name += ", fine-tuned" * (row["variant"] == FINE_TUNED)
        trust = f"{OURS}, n={row['n']:g}" if mine else row["trust"]
        cells.append(
            [
                fill(name, NAME_LENGTH, break_on_hyphens=False),
                NONE if pd.isna(row["ratio"]) else f"{row['ratio']:g}",
                *(_number(row, name, column) for name, column in COLUMNS.items()),
                fill(trust, NAME_LENGTH),
            ]
        )
    return cells


def _headings(metrics: pd.Series) -> list[str]:
    found = {name: column.heading for name, column in COLUMNS.items()}
    if metrics.nunique() == 1:
        metric = only(metrics)
        found["score"] = metric.axis.replace(" ", "\n")
        found["score_change"] = metric.change_axis.replace(" ", "\n")
    return ["", "Penalty\nratio", *found.values(), "From"]


def _draw(cells: list[list[str]], headings: list[str], published: Sequence[bool]) -> Pages:
    """Rows as high as their texts, published ones shaded; each page has the headings."""
    first, *heights = [
        LINE * max(text.count("\n") + 1 for text in row) + AROUND for row in (headings, *cells)
    ]
    parts = _parts(heights, PAGE[1] - ROOM - first)
    figures = []
    for part in parts:
        here = [first, *heights[part]]
        sheet, ((panel,),) = pages.grid(1, 1, sum(here), wide=True)
        _draw_part(panel, [headings, *cells[part]], here, published[part])
        figures += sheet.figures
    sheet = Pages(tuple(figures))
    pages.finish(sheet, note=_note([text for row in cells for text in row], any(published)))
    return sheet


def _note(texts: Sequence[str], published: bool) -> str:
    """What is said of what stands in the table, where it does."""
    spread = any("±" in text for text in texts)
    said = [
        f"{POINTS} ± one standard deviation." if spread else f"{POINTS}.",
        "Shaded: published." if published else "",
        f"{NONE}: not known." if NONE in texts else "",
    ]
    return " ".join(filter(None, said))


def _parts(heights: Sequence[float], room: float) -> list[slice]:
    """The rows of each page."""
    starts, used = [0], 0.0
    for row, height in enumerate(heights):
        if used + height > room:
            starts.append(row)
            used = 0.0
        used += height
    return [slice(*ends) for ends in itertools.pairwise([*starts, len(heights)])]


def _draw_part(
    panel: Axes, cells: list[list[str]], heights: Sequence[float], published: Sequence[bool]
) -> None:
    panel.set_axis_off()
    panel.set(xlim=(0, 1), ylim=(sum(heights), 0))
    drawn = panel.table(
        cells[1:], colLabels=cells[0], colWidths=WIDTHS, bbox=(0, 0, 1, 1), edges="horizontal"
    )
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(SMALLEST)
    for (row, column), cell in drawn.get_celld().items():
        cell.set_height(heights[row])
        cell.set_linewidth(0.4)
        cell.PAD = 0.03
        cell.set_text_props(ha="left" if column == 0 else "center")
    for row, shaded in enumerate(published, start=1):
        if shaded:
            ends = sum(heights[:row]), sum(heights[: row + 1])
            panel.axhspan(*ends, color="0.93", linewidth=0, zorder=-1)


def _number(row: pd.Series, name: str, column: Column) -> str:
    value, spread = row[name], row.get(f"{name}_std")
    if pd.isna(value):
        return NONE
    sign = "+" if name == "score_change" else ""
    text = f"{value:{sign}.{column.decimals}f}"
    return text if pd.isna(spread) else f"{text} ± {spread:.{column.decimals}f}"
