"""SynFlow: keep the paths that carry most of the network's weight (Tanaka et al., NeurIPS 2020)."""

import torch
from torch import Tensor

from pruning.errors import PruningError
from pruning.models.precision import doubled
from pruning.scores.context import ScoreContext
from pruning.scores.gradients import gradients_of


def synflow(context: ScoreContext) -> dict[str, Tensor]:
    """|w * dR/d|w||, R the sum of outputs on an all-ones example with all parameters made positive.

    Every parameter counts by its absolute value, biases and batch-norm parameters included; batch
    norm is in evaluation mode. No data and no loss. Float64 is not optional: R reaches 1e74 at
    initialization (ResNet-50 at 224x224). Meant to be iterated: one shot empties whole layers.

    Args:
        context: the network, and an example of what it takes.

    Raises:
        PruningError: R is not finite even so.
    """
    with context.exact_model("eval") as model:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.abs_()
        named = dict(model.named_parameters())
        weights = [named[name] for name in context.masks]
        device = next(model.parameters()).device
        total = model(*(doubled(given).to(device) for given in context.task.example())).sum()
        if not torch.isfinite(total):
            raise PruningError(
                f"SynFlow's sum of outputs is {total.item()} even in double precision: the weights "
                "are too large, or not numbers."
            )
        gradients = gradients_of(total, model, weights)
        values = [(w * g).abs().detach() for w, g in zip(weights, gradients, strict=True)]
    return dict(zip(context.masks, values, strict=True))
