"""Random: every subset of the given size is equally likely."""

import torch
from torch import Tensor

from pruning.scores.context import ScoreContext


def random(context: ScoreContext) -> dict[str, Tensor]:
    """Independent uniform numbers, one generator per tensor."""
    return {
        name: torch.rand(weight.shape, generator=context.generator("random score", name)).to(
            weight.device
        )
        for name, weight in context.weights.items()
    }
