"""Algorithm 1 of Renda et al. (2020): when a network still matches the dense one.

Train to completion; then prune 20 % of the weights with the smallest magnitude, rewind the learning
rate and retrain for the original training time, and repeat while the accuracy holds. Validation
accuracy decides, so that the test accuracy of what comes out is of images nothing was chosen by.
"""

import math
from collections.abc import Mapping
from typing import Any

from pruning.errors import PruningError

NO_VALIDATION = (
    "Algorithm 1 stops by validation accuracy, and this study has no validation images. Give it a "
    "`validation` fraction above 0."
)


def judge(dense: Mapping[str, Any], retrained: Mapping[str, Any]) -> dict[str, Any]:
    """What a level has lost against the dense network of its replicate.

    Args:
        dense, retrained: summaries of the two trainings.

    Returns:
        Level, density, the accuracies in percent, and ``change``: of validation accuracy, in
        percentage points.

    Raises:
        PruningError: there are no validation images.
    """
    row: dict[str, Any] = {"level": retrained["level"], "density": retrained["density"]}
    for split in ("validation", "test"):
        for name, summary in (("dense", dense), ("pruned", retrained)):
            row[f"{name}_{split}"] = round(100 * summary["scores"][split]["accuracy"], 6)
    row["change"] = round(row["pruned_validation"] - row["dense_validation"], 6)
    if math.isnan(row["change"]):
        raise PruningError(NO_VALIDATION)
    return row


def matches(judged: Mapping[str, Any], tolerance: float) -> bool:
    """Whether a level still matches.

    Args:
        judged: from :func:`judge`.
        tolerance: how many percentage points of validation accuracy may be lost.
    """
    return judged["change"] >= -tolerance


def sparsest(levels: list[Mapping[str, Any]]) -> int:
    """The last level before the first that does not match; 0 is the dense network."""
    for place, level in enumerate(levels):
        if not level["matches"]:
            return place
    return len(levels)
