"""How other code bases turn scores into masks, off-by-one faults included.

For cross-checks against them, and for studies that repeat one; otherwise the project keeps exact
counts (:func:`pruning.masks.mask.select`). All rank globally. Scores are ours: larger = keep.

OpenLTH removes in every round the same fraction of what is left, so that over many rounds what it
removes too much adds up; the others aim at a fraction of all weights, which one round cannot miss
by more than the next.
"""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from pruning import registry
from pruning.masks.mask import Masks


def openlth(scores: Tensor, left: Tensor, density: float) -> Tensor:
    """Frankle et al. (2021), and OpenLTH's magnitude pruning: one weight too many goes.

    The threshold is the (k+1)-th smallest of what is left, k = ceil(fraction * left), and what is
    strictly above it stays.
    """
    return left & (scores > smallest(scores[left], _to_remove(left, density) + 1))


def openlth_highest(scores: Tensor, left: Tensor, density: float) -> Tensor:
    """The same code with ``--prune_highest``, as it must be used for GraSP: k weights go."""
    return left & (scores > smallest(scores[left], _to_remove(left, density)))


def synflow(scores: Tensor, left: Tensor, density: float) -> Tensor:
    """Tanaka et al. (2020): k = int((1 - density) * all); strictly above the k-th smallest of all.

    Weights that are gone are ranked again, with a score of 0.
    """
    k = int((1 - density) * scores.numel())
    ranked = torch.where(left, scores, 0)
    return left & (ranked > smallest(ranked, k)) if k else left.clone()


def grasp(scores: Tensor, left: Tensor, density: float) -> Tensor:
    """Wang et al. (2020): k = int(all * (1 - density)); the k-th to go stays."""
    k = int(scores.numel() * (1 - density))
    return left & (scores >= smallest(scores, k)) if k else left.clone()


FRACTION_OF_WHAT_IS_LEFT = ("openlth", "openlth_highest")


def select_like(
    rule: str, scores: Mapping[str, Tensor], density: float, within: Mapping[str, Tensor]
) -> Masks:
    """Masks as another code base makes them.

    Args:
        rule: a threshold rule of :mod:`pruning.registry`.
        scores: larger = keep.
        density: fraction of all weights that is to be kept.
        within: masks so far.

    Raises:
        PruningError: no such rule.
    """
    return select_by(registry.find("threshold rule", rule), scores, density, within)


def select_by(
    keep: Callable[[Tensor, Tensor, float], Tensor],
    scores: Mapping[str, Tensor],
    density: float,
    within: Mapping[str, Tensor],
) -> Masks:
    """As :func:`select_like`, by the rule itself: from scores and what is left, both flat."""
    flat = torch.cat([score.flatten() for score in scores.values()])
    flat = flat if flat.is_floating_point() else flat.double()  # a threshold may be infinite
    left = torch.cat([within[name].flatten() for name in scores])
    pieces = keep(flat, left, density).split([s.numel() for s in scores.values()])
    return {
        name: piece.view(score.shape)
        for (name, score), piece in zip(scores.items(), pieces, strict=True)
    }


def _to_remove(left: Tensor, density: float) -> int:
    """k: the fraction of what is left that this density removes, rounded up."""
    count = int(left.sum())
    return math.ceil((1 - density * left.numel() / count) * count)


def smallest(scores: Tensor, k: int) -> Tensor:
    """The k-th smallest score, k from 1; infinite where there are fewer."""
    if not 0 < k <= len(scores):
        return scores.new_tensor(math.inf if k > 0 else -math.inf)
    return scores.kthvalue(k).values
