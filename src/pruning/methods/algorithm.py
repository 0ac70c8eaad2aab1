"""Algorithm 1 of Renda et al. (2020): when a network still matches the dense one.

Train to completion; then prune 20 % of the weights with the smallest magnitude, rewind the learning
rate and retrain for the original training time, and repeat while the accuracy holds. Validation
accuracy decides, so that the test accuracy of what comes out is of images nothing was chosen by.
"""

import math
from collections.abc import Mapping
from typing import Any

from pruning.errors import PruningError


def judge(
    dense: Mapping[str, Any], retrained: Mapping[str, Any], tolerance: float
) -> dict[str, Any]:
    """Whether a level still matches the dense network of its replicate.

    Args:
        dense, retrained: summaries of the two trainings.
        tolerance: how many percentage points of validation accuracy may be lost.

    Returns:
        Level, density, the accuracies in percent, ``change`` in percentage points, ``matches``.

    Raises:
        PruningError: there are no validation images.
    """
    row: dict[str, Any] = {"level": retrained["level"], "density": retrained["density"]}
    for split in ("validation", "test"):
        for name, summary in (("dense", dense), ("pruned", retrained)):
            row[f"{name}_{split}"] = round(100 * summary["scores"][split]["accuracy"], 6)
    row["change"] = round(row["pruned_validation"] - row["dense_validation"], 6)
    if math.isnan(row["change"]):
        raise PruningError(
            "Algorithm 1 stops by validation accuracy, and this study has no validation images. "
            "Give it a `validation` fraction above 0."
        )
    return {**row, "matches": row["change"] >= -tolerance}


def sparsest(decisions: list[Mapping[str, Any]]) -> int:
    """The last level before the first that does not match; 0 is the dense network."""
    for place, decision in enumerate(decisions):
        if not decision["matches"]:
            return place
    return len(decisions)
