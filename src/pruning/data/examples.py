"""One example of each kind of data, as networks take it: what costs are counted on."""

import torch
from torch import Tensor

from pruning.data.pieces import UNKNOWN


def one_image(shape: tuple[int, int, int]) -> tuple[Tensor, ...]:
    """An image of shape (C, H, W), all ones: (1, C, H, W)."""
    return (torch.ones(1, *shape),)


def one_pair(source_tokens: float, target_tokens: float) -> tuple[Tensor, ...]:
    """A pair of sentences of these lengths, rounded, and one token at least; which it has decides
    no cost.

    Returns:
        Pieces of the source (1, S), their number (1,), and what a decoder reads, the target and its
        beginning, (1, T).
    """
    source, target = (max(1, round(length)) for length in (source_tokens, target_tokens))
    return (
        torch.full((1, source), UNKNOWN),
        torch.tensor([source]),
        torch.full((1, target + 1), UNKNOWN),
    )
