"""What the claims of Frankle et al. (2021) are tested on: cells, laid out for each kind of claim.

A *cell* is study, method, variant, epoch of pruning and density, see
:mod:`pruning.systems.at_init.tables`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pruning.analysis.claims import COUNT, ERROR, ERRORS, REPLICATES, ClaimSet
from pruning.analysis.claims_page import misses_of, table_of
from pruning.analysis.score import find, signs, units
from pruning.systems.at_init.claims import (
    BASELINES,
    CLAIMS,
    METHODS,
    NAMES,
    RANK,
    READING,
    TICKET,
    TOLERANCE,
)
from pruning.systems.at_init.tables import VARIANTS, cells, pruned

COMPARED = (*METHODS, "random", "grasp_abs", *BASELINES)
FEWEST_TIMES = 3  # over two, a rank correlation is 1 or -1 whatever happens

SETTING = ("study", "network", "level")


def evidence(tidy: pd.DataFrame, resources: Path | str | None = None) -> pd.DataFrame:
    """The cells of networks that were pruned once.

    Args:
        tidy: tidy table of one or more studies, see :mod:`pruning.analysis.tidy`.
        resources: folder of published numbers, of which none are needed.

    Returns:
        :func:`pruning.systems.at_init.tables.cells` without the dense networks, with ``error``, the
        standard error of the mean, missing where there is one replicate, and ``unit``, that of a
        change. A ``mean`` of which the lower is the better has its sign turned round.

    Raises:
        PruningError: nothing was pruned at initialization.
    """
    table = pruned(cells(tidy))
    return table.assign(
        mean=table["mean"] * signs(table["metric"]),
        error=table["std"] / np.sqrt(table["n"]),
        unit=units(table["metric"]),
    )


# ----- the evidence, laid out: one row per cell, what is compared side by side


def _side_by_side(
    table: pd.DataFrame, label: str, values: Sequence[str], keys: Sequence[str] = SETTING
) -> pd.DataFrame:
    """Means, errors and replicates, columns for each of ``values`` of the column ``label``."""
    first = table.drop_duplicates([*keys, label]).set_index([*keys, label])
    means = first["mean"].unstack(label).reindex(columns=list(values))
    errors = first["error"].unstack(label).reindex(columns=list(values)).add_suffix(ERROR)
    counts = first["n"].unstack(label).reindex(columns=list(values)).add_suffix(COUNT)
    shared = table.drop_duplicates(list(keys)).set_index(list(keys))
    shared = shared[["dataset", "metric", "unit", "density"]]
    return means.join(errors).join(counts).join(shared).reset_index()


def _in_time(cells: pd.DataFrame) -> pd.DataFrame:
    """Cells that are pruned when their method prunes: at initialization, or after training."""
    return cells[(cells["pruned_at"] == 0) | cells["method"].isin(BASELINES)]


def _by_variant(cells: pd.DataFrame) -> pd.DataFrame:
    """The variants of each method."""
    return _side_by_side(_in_time(cells), "variant", VARIANTS, [*SETTING, "method"])


def _by_method(cells: pd.DataFrame) -> pd.DataFrame:
    """Methods, unmodified, each of the four also beside the best of the other three."""
    cells = _in_time(cells)
    table = _side_by_side(cells[cells["variant"] == "unmodified"], "method", COMPARED)
    for method in METHODS:
        others = [other for other in METHODS if other != method]
        # Nobody leads a field that is not complete.
        table[f"rival of {method}"] = table[others].max(axis=1, skipna=False)
        # Any of them might lead with more replicates.
        counts = table[[f"{other}{COUNT}" for other in others]]
        table[f"rival of {method}{COUNT}"] = counts.min(axis=1)
    table["sparsest"] = table["level"] == table.groupby("study")["level"].transform("max")
    return table


def _pruned_later(cells: pd.DataFrame) -> pd.DataFrame:
    """The four methods, each where it prunes later in training, beside the lottery ticket."""
    cells = cells[cells["variant"] == "unmodified"]
    keys = [*SETTING, "method", "pruned_at"]
    later = cells[cells["method"].isin(METHODS) & (cells["pruned_at"] > 0)]
    table = _side_by_side(later.assign(what="pruned_later"), "what", ["pruned_later"], keys)
    tickets = cells[cells["method"] == TICKET].set_index(list(SETTING))[["mean", "error", "n"]]
    tickets = tickets.rename(
        columns={"mean": TICKET, "error": f"{TICKET}{ERROR}", "n": f"{TICKET}{COUNT}"}
    )
    return table.join(tickets, on=list(SETTING))


def _over_epochs(cells: pd.DataFrame) -> pd.DataFrame:
    """How the score goes with the epoch that a method prunes at: a row per method and density."""
    cells = cells[(cells["variant"] == "unmodified") & cells["method"].isin(METHODS)]
    keys = ["study", "network", "dataset", "level", "method", "density"]
    rows = [
        (*key, RANK, _rank_correlation(group), group["n"].min())
        for key, group in cells.groupby(keys)
    ]
    return pd.DataFrame(rows, columns=[*keys, "unit", "correlation", REPLICATES])


def _rank_correlation(cells: pd.DataFrame) -> float:
    # Where every epoch gives the same score there is no order to speak of.
    if cells["pruned_at"].nunique() < FEWEST_TIMES or cells["mean"].nunique() < 2:
        return math.nan
    return cells["pruned_at"].corr(cells["mean"], method="spearman")


LAYOUTS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "variants": _by_variant,
    "methods": _by_method,
    "later": _pruned_later,
    "epochs": _over_epochs,
}


# ----- what the page says besides


def _appendix(claims: ClaimSet, cells: pd.DataFrame) -> str:
    """Which cells speak against claims, and which method leads where."""
    lines = [
        *misses_of(claims, cells, _where),
        "",
        "## Which of the four methods leads",
        "",
        "At initialization; *clearly* where the lead is more than the noise.",
        "",
        *table_of(("study", "sparsity", "best", _score_name(cells), "lead"), _leaders(cells)),
    ]
    return "\n".join(lines) + "\n"


def _where(row: Mapping[str, Any]) -> str:
    """Like "90 % at epoch 2"."""
    when = "" if pd.isna(row["pruned_at"]) else f" at epoch {row['pruned_at']:g}"
    return f"{_sparsity(row['density'])}{when}"


def _leaders(cells: pd.DataFrame) -> list[tuple[str, ...]]:
    rows = []
    table = _by_method(cells).dropna(subset=list(METHODS))
    for row in table.sort_values(["study", "level"]).to_dict("records"):
        best, second = sorted(METHODS, key=lambda method: -row[method])[:2]
        lead = row[best] - row[second]
        noise = ERRORS * np.hypot(*(row[f"{method}{ERROR}"] for method in (best, second)))
        clearly = ", clearly" if lead > noise else ""  # with one replicate nothing is clear
        metric = find(row["metric"])
        told = f"{lead:+.2f} {metric.change_unit} over {NAMES[second]}{clearly}"
        score = f"{metric.sign * row[best]:.2f} {metric.shown_unit}"
        rows.append((row["study"], _sparsity(row["density"]), NAMES[best], score, told))
    return rows or [("-",) * 5]


def _score_name(cells: pd.DataFrame) -> str:
    """What all studies are judged by, if it is the same."""
    names = cells["metric"].unique()
    return find(names[0]).title if len(names) == 1 else "score"


def _sparsity(density: float) -> str:
    return f"{100 * (1 - density):.4g} %"


FRANKLE2021 = ClaimSet(
    claims=CLAIMS,
    evidence=evidence,
    layouts=LAYOUTS,
    cell=("study", "network", "dataset", "method", "level", "density", "pruned_at"),
    tolerance=TOLERANCE,
    reading=READING,
    columns=(
        "claim",
        "statement",
        "satisfied",
        "within noise",
        "worst margin",
        "replicates",
        "verdict",
    ),
    appendix=_appendix,
)
