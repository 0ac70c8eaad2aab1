"""What the claims of Sreenivasan et al. (2022) are tested on: scores of each density in a row."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pruning.analysis.claims import COUNT, ClaimSet
from pruning.analysis.claims_page import misses_of
from pruning.analysis.score import find, signs, units
from pruning.errors import PruningError
from pruning.systems.gem_miner.claims import CLAIMS, READING, TOLERANCE
from pruning.systems.gem_miner.rules import METHODS, UNMODIFIED
from pruning.systems.gem_miner.tables import AFTER, BEFORE, apart, compared, summed_up

CELL = ("study", "network", "dataset", "level")
BESIDE = 1.1  # ratio of two densities up to which they are compared
CHECKS = ("shuffled", "reinitialized", "reinitialized_kaiming")
STEP_BY_STEP = ("imp_warm", "imp_cold", "lr_rewind")  # with densities of their own


@dataclass(frozen=True)
class Evidence:
    """What claims are tested on.

    Attributes:
        scores: a row per study and level: :data:`CELL`, ``metric``, ``aimed`` and the mean test
            score of every method as it is shown, turned round where the lower is the better one,
            and with COUNT appended how many replicates it is of; ``nothing_inverted``: whether the
            search that freezes the wrong end kept no weight in any replicate, in which case it has
            no score.
    """

    scores: pd.DataFrame


def evidence(
    tidy: pd.DataFrame, resources: Path | str | None = None, classes: int | None = None
) -> Evidence:
    """What there is in the tidy table of one or more studies.

    Args:
        tidy: the table, with the columns of :mod:`pruning.analysis.tidy`.
        resources: taken for the sake of the common signature.
        classes: of the data set, for the score of guessing.

    Raises:
        PruningError: nothing was searched.
    """
    table = summed_up(compared(tidy))
    searched = table[table["method"].isin(METHODS) & (table["moment"] == AFTER)]
    if searched.empty:
        raise PruningError(
            "The tidy table holds no network that a search found. Give that of a study with a "
            "`gem_miner` section."
        )
    table = table.assign(mean=table["mean"] * signs(table["metric"]))
    cells = searched.drop_duplicates(list(CELL))[[*CELL, "metric", "aimed"]]
    rows = [
        _beside(cell, table[table["study"] == cell["study"]], classes)
        for cell in cells.to_dict("records")
    ]
    return Evidence(pd.DataFrame(rows))


def _beside(cell: dict[str, Any], table: pd.DataFrame, classes: int | None) -> dict[str, Any]:
    """The scores of one level of a study side by side."""
    own = table[(table["level"] == cell["level"]) & (table["aimed"] == cell["aimed"])]
    plain = own[own["variant"] == UNMODIFIED]
    checks = own[(own["method"] == "gem_miner") & own["variant"].isin(CHECKS)]
    before, after = (plain[plain["moment"] == moment] for moment in (BEFORE, AFTER))
    checked = checks[checks["moment"] == AFTER]
    found = _scores(after, after["method"])
    found |= _scores(before, before["method"] + "_before")
    found |= _scores(checked, checked["variant"])
    for method in STEP_BY_STEP:  # beside what is kept, which may be less than what was aimed at
        near = _nearest(table[table["method"] == method], _kept(after, cell["aimed"]))
        found |= _scores(near, near["method"])
    inverted = after[after["method"] == "gem_miner_inverted"]
    # A network without a weight guesses: that says nothing of the weights that were frozen out.
    found["nothing_inverted"] = bool((inverted["empty"] > 0).any())
    if len(inverted) and not found["nothing_inverted"]:
        found |= _scores(inverted.head(1), ["inverted"])
    metric = find(cell["metric"])
    if metric.chance is not None and classes is not None:
        found["chance"] = metric.sign * metric.factor * metric.chance(classes)
    return {**cell, **found}


def _scores(rows: pd.DataFrame, names: Iterable[str]) -> dict[str, Any]:
    """Of each row its score and how many replicates that is of, by the row's name."""
    names = list(names)
    counts = zip([f"{name}{COUNT}" for name in names], rows["n"], strict=True)
    return dict(zip(names, rows["mean"], strict=True)) | dict(counts)


def _kept(after: pd.DataFrame, aimed: float) -> float:
    """The density of what Gem-Miner found at a level; where it found nothing, the one aimed at."""
    mine = after.loc[after["method"] == "gem_miner", "density"]
    return float(mine.iloc[0]) if len(mine) and mine.iloc[0] > 0 else aimed


def _nearest(rows: pd.DataFrame, density: float) -> pd.DataFrame:
    """The row at the density that is nearest, if it is near enough."""
    distance = apart(rows["density"], density)
    if rows.empty or distance.min() > BESIDE:
        return rows.iloc[:0]
    return rows.loc[[distance.idxmin()]]


def cells(evidence: Evidence) -> pd.DataFrame:
    """A row per study and level, with every column that a claim may ask for, and ``unit``."""
    table = evidence.scores
    wanted = {name for claim in CLAIMS for name in (claim.first, claim.second) if name}
    wanted |= {f"{name}{COUNT}" for name in wanted}  # none where guessing needs no training
    table = table.reindex(columns=[*table.columns, *sorted(wanted - set(table.columns))])
    return table.assign(unit=units(table["metric"]))


def _appendix(claims: ClaimSet, evidence: Evidence) -> str:
    lines = misses_of(claims, evidence, lambda row: f"{100 * row['aimed']:.4g} %")
    lines += _nothing_found(evidence.scores)
    return "\n".join(lines) + "\n"


def _nothing_found(scores: pd.DataFrame) -> list[str]:
    """Lines that name the cells that the check by inversion is not counted in."""
    gone = scores[scores["nothing_inverted"]]
    if gone.empty:
        return []
    told = [
        f"- {study}: {', '.join(f'{100 * aimed:.4g} %' for aimed in cells['aimed'])}"
        for study, cells in gone.groupby("study")
    ]
    return [
        "",
        "## Cells in which nothing was found",
        "",
        "The search that freezes the wrong end left no weight, in one replicate at least. A "
        "network without weights does no more than guess, so claim 9d is not counted there:",
        "",
        *told,
    ]


RAREGEMS2022 = ClaimSet(
    claims=CLAIMS,
    evidence=evidence,
    layouts={"cells": cells},
    cell=(*CELL, "aimed"),
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
