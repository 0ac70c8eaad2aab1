"""Columns of the tables about networks that shrink, which are not tidy.

A *cell* is one training of a study: ``ratio`` is the share of the penalty in the loss at the start,
``level`` its place among the study's ratios, ``density`` the kept share of the prunable weights at
the end. Scores are of the
``metric``, in its own unit; costs are per example, of the network that an epoch trained, counted as
in :mod:`pruning.systems.prunetrain.cost`.
"""

CELL = (
    "study", "network", "dataset", "seed", "method", "variant", "level", "density", "metric",
    "ratio",
)  # fmt: skip

# A row per epoch. ``penalty`` is lambda * G and ``dense_...`` the mean over layers of the share of
# their channels as built that reach the threshold, both at the end of the epoch;
# ``rate_times_strength`` is to stay below ``bound``; ``memory`` is an estimate in bytes. What a
# reconfiguration at its end did: channels and bodies of residual blocks that went, norm of what
# these gave, relative L2 change of the logits of the first batch, and change of the test score.
EPOCHS = (
    *CELL,
    "strength",
    "bound",
    "epoch",
    "step",
    "learning_rate",
    "train_loss",
    "validation_score",
    "test_score",
    "penalty",
    "dense_inputs",
    "dense_outputs",
    "rate_times_strength",
    "batch",
    "memory",
    "inference_macs",
    "training_macs",
    "norm_traffic",
    "activations",
    "model_elements",
    "parameters",
    "out_channels",
    "removed_channels",
    "removed_branches",
    "constant_norm",
    "logit_change",
    "score_change",
)

# A row per convolution and linear layer of the network as built: channels and MACs of a forward and
# of a training pass, before training and after; all 0 after where the layer is gone. ``..._share``
# are channels that reach the threshold before the last reconfiguration, of those it had at first.
LAYERS = (
    *CELL,
    "layer",
    "position",
    "inputs_before",
    "outputs_before",
    "inputs",
    "outputs",
    "inference_macs_before",
    "training_macs_before",
    "inference_macs",
    "training_macs",
)

# Largest |w| of an output channel at the end of an epoch, before a reconfiguration; ``channel`` is
# its place in the layer as built.
CHANNELS = (*CELL, "threshold", "epoch", "layer", "position", "channel", "size")

# Largest |w| between one input and one output channel at the end of training, of some layers.
FILTERS = (*CELL, "threshold", "layer", "position", "input", "output", "size")

# What the steps of an epoch took; the only table that differs from run to run.
SECONDS = (*CELL, "epoch", "steps", "batch", "parameters", "seconds")
