"""Which weights a search freezes out, and where a mask of the largest scores is cut."""

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from pruning.masks.order_statistics import count, kth_largest
from pruning.systems.gem_miner.schedule import kept_in_layer, kept_of_all

log = logging.getLogger("pruning")

# What may have left nothing, and what helps, by the end of the scores that is frozen out.
WHY_EMPTY = {
    "smallest": "The penalty may be too strong, or the density too small for it.",
    "largest": "The high scores are what this check freezes out, so that may be its result.",
}


def freeze(
    scores: Sequence[Tensor], flags: Sequence[Tensor], removed: int, end: str = "smallest"
) -> list[Tensor]:
    """Freeze out weights of one end of the scores, over all tensors together.

    Of those that are not frozen the ``removed``-th counted from that end decides, and every one
    that ties with it goes too (strict comparison, as in the authors' code): more than ``removed``
    go where scores that were clipped to 0 tie, and all of them where nothing else is left.

    Args:
        scores: one tensor per prunable weight.
        flags: which weights are not frozen yet.
        removed: how many go, at most as many as are left; 0 changes nothing.
        end: ``smallest`` or ``largest``.

    Returns:
        New flags, subsets of ``flags``.
    """
    if not removed:
        return list(flags)
    values = [score.flatten() for score in scores]
    allowed = [flag.flatten() for flag in flags]
    if end == "smallest":
        limit = kth_largest(values, sum(map(count, flags)) - removed + 1, allowed)
        found = [flag & (score > limit) for score, flag in zip(scores, flags, strict=True)]
    else:
        limit = kth_largest(values, removed, allowed)
        found = [flag & (score < limit) for score, flag in zip(scores, flags, strict=True)]
    if not any(map(count, found)):
        log.warning(
            "The search froze every weight: all scores that were left were %g, so nothing is "
            "found. %s",
            float(limit),
            WHY_EMPTY[end],
        )
    return found


def thresholds(scores: Sequence[Tensor], density: float, scope: str) -> list[Tensor]:
    """Where to cut the sizes of scores, for each tensor.

    Args:
        scores: one tensor per prunable weight, of either sign.
        density: fraction kept.
        scope: ``layerwise``: of each tensor; ``global``: of all together, one number for all.

    Returns:
        Tensors of no dimensions: the smallest size that is kept.

    Raises:
        PruningError: a global density that keeps nothing.
    """
    sizes = [score.abs().flatten() for score in scores]
    if scope == "layerwise":
        return [kth_largest([size], kept_in_layer(density, size.numel())) for size in sizes]
    total = sum(size.numel() for size in sizes)
    return [kth_largest(sizes, kept_of_all(density, total))] * len(sizes)


def share(masks: Sequence[Tensor]) -> float:
    """The share of entries that are true."""
    total = sum(mask.numel() for mask in masks)
    return int(torch.stack([mask.count_nonzero() for mask in masks]).sum()) / total
