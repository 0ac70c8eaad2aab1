"""How the authors' code turns |w| into the mask of what is kept."""

from torch import Tensor

from pruning.masks.threshold_rules import smallest


def gsm(scores: Tensor, left: Tensor, density: float) -> Tensor:
    """Ding et al. (2019): what is at least the entry at index int(all * (1 - density)), rising.

    So all - int(all * (1 - density)) are kept, up to one more than were active in a step.
    """
    return left & (scores >= smallest(scores, int(scores.numel() * (1 - density)) + 1))
