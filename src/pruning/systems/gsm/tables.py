"""Columns of the tables about global sparse momentum SGD that are not tidy or about masks.

A *cell* is one training or pruning of a study: ``density`` is the kept share of the prunable
weights, ``level`` its place among the study's densities, 1 being the highest. Scores are
of the ``metric``, in its own unit, and losses as the task has them.
"""

import pandas as pd

from pruning.analysis.score import scores_of, shown

AFTER, BEFORE = "after", "before"  # zeroing

CELL = ("study", "network", "dataset", "seed", "method", "variant", "level", "density", "metric")

# A row per epoch of a training. ``zeroed_...`` is what zeroing would leave at that moment, a
# ``share_below_...`` is that of all prunable weights; both are of GSM trainings only.
CURVES = (
    *CELL,
    "momentum",
    "reselect",
    "epoch",
    "step",
    "learning_rate",
    "train_loss",
    "validation_score",
    "validation_loss",
    "test_score",
    "test_loss",
    "zeroed_test_score",
    "zeroed_test_loss",
    "share_below_0.001",
    "share_below_0.0001",
)

# Test score of a dense network of which one layer alone was pruned by magnitude.
SENSITIVITY = (*CELL, "layer", "position", "layer_density", "score")

# Histograms of |w| over all prunable weights before zeroing, ``low`` <= |w| < ``high``; of each
# cell the smallest |w| that zeroing keeps and the largest that it drops.
MAGNITUDES = (*CELL, "low", "high", "count", "smallest_kept", "largest_dropped")


def around_zeroing(tidy: pd.DataFrame) -> pd.DataFrame:
    """Test scores after zeroing and, where something was zeroed, before it.

    Args:
        tidy: tidy table of one or more studies, see :mod:`pruning.analysis.tidy`.

    Returns:
        Those rows with ``metric``, the study's score in both cases, ``value`` as it is shown, and
        ``zeroing``, :data:`AFTER` or :data:`BEFORE`; a network that was not zeroed has the first.
    """
    score = tidy["study"].map(scores_of(tidy))
    before = tidy["metric"] == score + "_before_zeroing"
    wanted = (tidy["split"] == "test") & (before | (tidy["metric"] == score))
    rows = tidy.assign(metric=score, zeroing=before.map({True: BEFORE, False: AFTER}))[wanted]
    return rows.assign(value=shown(rows["value"], rows["metric"]))
