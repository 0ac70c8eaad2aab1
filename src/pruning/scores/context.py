"""What a score function may look at."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pruning.seeds import generator


@dataclass(frozen=True)
class ScoreContext:
    """The state to be scored.

    Attributes:
        weights: the prunable tensors, masked entries zero.
        masks: the masks so far.
        seed: the study's seed.
        purpose: what the score is for; with the seed it decides every random draw.
    """

    weights: Mapping[str, Tensor]
    masks: Mapping[str, Tensor]
    seed: int = 0
    purpose: tuple[str | int, ...] = ()

    def generator(self, *purpose: str | int) -> torch.Generator:
        """A CPU generator of this context's own for one purpose."""
        return generator(self.seed, *self.purpose, *purpose)
