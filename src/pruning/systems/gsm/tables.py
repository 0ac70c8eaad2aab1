"""Columns of the tables about global sparse momentum SGD that are not tidy or about masks.

A *cell* is one training or pruning of a study: ``density`` is the kept share of the prunable
weights, ``level`` its place among the study's densities, 1 being the highest. Accuracies are from 0
to 1, losses in nats.
"""

CELL = ("study", "network", "dataset", "seed", "method", "variant", "level", "density")

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
    "validation_accuracy",
    "validation_loss",
    "test_accuracy",
    "test_loss",
    "zeroed_test_accuracy",
    "zeroed_test_loss",
    "share_below_0.001",
    "share_below_0.0001",
)

# Test accuracy of a dense network of which one layer alone was pruned by magnitude.
SENSITIVITY = (*CELL, "layer", "position", "layer_density", "accuracy")

# Histograms of |w| over all prunable weights before zeroing, ``low`` <= |w| < ``high``; of each
# cell the smallest |w| that zeroing keeps and the largest that it drops.
MAGNITUDES = (*CELL, "low", "high", "count", "smallest_kept", "largest_dropped")
