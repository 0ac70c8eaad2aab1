"""Algorithm 1 of Renda et al. (2020): when a network still matches the dense one.

Train to completion; then prune 20 % of the weights with the smallest magnitude, rewind the learning
rate and retrain for the original training time, and repeat while the score holds. The validation
score decides, so that the test score of what comes out is of examples nothing was chosen by.
"""

import math
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from pruning import checks, seals
from pruning.analysis.score import find
from pruning.errors import PruningError

NO_VALIDATION = (
    "Algorithm 1 stops by the validation score, and this study has no validation data. Give it a "
    "`validation` fraction above 0."
)


_SCORES = ("dense_validation", "pruned_validation", "dense_test", "pruned_test")
_JUDGEMENT = {
    "level": checks.COUNT,
    "density": checks.DENSITY,
    **dict.fromkeys(_SCORES, checks.NUMBER),
    "change": checks.NUMBER,
}


def read_judgement(path: Path | str) -> dict[str, Any]:
    """What :func:`judge` gave, from its file."""
    return checks.read(path, _JUDGEMENT)


def read_way(path: Path | str) -> list[dict[str, Any]]:
    """The levels that were tried, in order, each as judged and with whether it ``matches``."""
    levels = checks.read(path, {"levels": checks.ROWS})["levels"]
    for level in levels:
        checks.require(path, level, _JUDGEMENT | {"matches": checks.TRUTH}, where="levels: ")
    places = [level["level"] for level in levels]
    if any(after <= before for before, after in pairwise(places)):
        raise PruningError(f"{path} does not have its levels in order. {seals.AGAIN}")
    return levels


def read_result(path: Path | str) -> dict[str, Any]:
    """What Algorithm 1 ended with on a replicate, from its file."""
    wanted = {"seed": checks.COUNT, "level": checks.COUNT, "density": checks.DENSITY}
    return checks.read(path, wanted | dict.fromkeys(_SCORES, checks.NUMBER))


def judge(dense: Mapping[str, Any], retrained: Mapping[str, Any]) -> dict[str, Any]:
    """What a level has lost against the dense network of its replicate.

    Args:
        dense, retrained: summaries of the two trainings.

    Returns:
        Level, density, the scores as they are shown, and ``change``: how much better the validation
        score became, in the unit of its changes (percentage points of accuracy, BLEU, ...).

    Raises:
        PruningError: there is no validation score.
    """
    score = find(dense["metric"])
    row: dict[str, Any] = {"level": retrained["level"], "density": retrained["density"]}
    for split in ("validation", "test"):
        for name, summary in (("dense", dense), ("pruned", retrained)):
            row[f"{name}_{split}"] = round(score.factor * summary["scores"][split][score.name], 6)
    change = row["pruned_validation"] - row["dense_validation"]
    row["change"] = round(score.sign * change, 6) + 0.0
    if math.isnan(row["change"]):
        raise PruningError(NO_VALIDATION)
    return row


def matches(judged: Mapping[str, Any], tolerance: float) -> bool:
    """Whether a level still matches.

    Args:
        judged: from :func:`judge`.
        tolerance: how much of the validation score may be lost, in the unit of its changes.
    """
    return judged["change"] >= -tolerance


def sparsest(levels: list[Mapping[str, Any]]) -> int:
    """The last level before the first that does not match; 0 is the dense network."""
    for place, level in enumerate(levels):
        if not level["matches"]:
            return place
    return len(levels)
