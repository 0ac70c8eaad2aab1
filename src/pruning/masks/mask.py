"""Masks and selection: which weights are kept.

A mask is boolean, one per prunable tensor, True where the weight is kept. Selection turns scores
and a density into masks with an exact count: off-by-one thresholds are a known fault of other code
bases (keeping ``score > sorted(score)[n]`` removes n+1 weights, and more on ties).
"""

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from pruning.errors import PruningError, unknown
from pruning.masks.order_statistics import count, kth_largest

SCOPES = ("global", "layerwise")

Masks = dict[str, Tensor]


def taken(masks: Mapping[str, Any], names: Collection[str] = ()) -> Masks:
    """Masks as this package has them, from any that hold 0 and 1: here foreign ones come in.

    Args:
        masks: by weight name; boolean, or numbers, as ``torch.nn.utils.prune`` keeps them.
        names: of the network's weights. What is called ``<weight>_mask``, as the buffers of
            ``torch.nn.utils.prune`` are, is then the mask of that weight.

    Raises:
        PruningError: a mask that holds anything else than 0 and 1, or two masks of one weight.
    """
    found: Masks = {}
    for given, mask in masks.items():
        name = given.removesuffix("_mask") if given not in names else given
        name = name if name in names else given
        if name in found:
            raise PruningError(f"There are two masks of {name!r}, one of them called {given!r}.")
        found[name] = _boolean(given, mask)
    return found


def _boolean(name: str, mask: Any) -> Tensor:
    try:
        mask = torch.as_tensor(mask)
    except (TypeError, ValueError, RuntimeError) as error:
        raise PruningError(f"The mask of {name!r} is no tensor ({error}).") from None
    if mask.dtype == torch.bool and mask.layout == torch.strided:
        return mask
    if mask.layout != torch.strided or mask.is_quantized or mask.dtype.itemsize < 2:
        mask = _dense(name, mask)
    wrong = mask.detach()[(mask != 0) & (mask != 1)]  # also what is not a number
    if wrong.numel():
        raise PruningError(
            f"The mask of {name!r} holds {wrong[0].item():g}. Masks hold 0 and 1 only, or False "
            "and True: what is kept of weights or scores is `pruning.select(scores, density)`, and "
            "`tensor != 0` is where there is anything."
        )
    return mask.detach() == 1


def _dense(name: str, mask: Tensor) -> Tensor:
    """The same numbers in a form that can be compared: of sparse tensors and types of 8 bits."""
    try:
        return mask.detach().to_dense().float()
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise PruningError(
            f"The mask of {name!r} cannot be read ({reason}). Make it boolean."
        ) from None


def dense(weights: Mapping[str, Tensor], names: list[str]) -> Masks:
    """Masks that keep everything."""
    return {name: torch.ones_like(weights[name], dtype=torch.bool) for name in names}


def density(masks: Mapping[str, Tensor]) -> float:
    """Kept / prunable weights, nominal. Raises like :func:`taken`."""
    kept, total = counts(taken(masks))
    return kept / total if total else 1.0


def counts(masks: Mapping[str, Tensor]) -> tuple[int, int]:
    """(kept, prunable) weights."""
    return (
        sum(map(count, masks.values())),
        sum(mask.numel() for mask in masks.values()),
    )


def apply(masks: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``tensors`` with the masked entries exactly zero; tensors without a mask as they are."""
    return {
        name: torch.where(masks[name], tensor, 0) if name in masks else tensor
        for name, tensor in tensors.items()
    }


def kept_count(density: float, total: int) -> int:
    """How many of ``total`` weights a density keeps: the nearest integer, halves rounded up.

    Raises:
        PruningError: the density is not in (0, 1].
    """
    if not 0 < density <= 1:
        raise PruningError(
            f"A density is the fraction of weights kept and lies in (0, 1]; {density} does not."
        )
    return min(total, int(density * total + 0.5))


def select(
    scores: Mapping[str, Tensor],
    density: float,
    scope: str = "global",
    within: Mapping[str, Tensor] | None = None,
) -> Masks:
    """Keep the weights with the largest scores.

    Args:
        scores: larger = keep; one tensor per prunable weight tensor.
        density: fraction kept of *all* prunable weights, in (0, 1].
        scope: ``global`` ranks all tensors together; ``layerwise`` keeps the density in each.
        within: masks of an earlier level; what they removed stays removed.

    Returns:
        Masks with exactly :func:`kept_count` weights (of the net, or of each tensor). Equal scores
        are kept in the order of their flat index, tensors in the order of ``scores``.

    Raises:
        PruningError: density outside (0, 1], unknown scope, a score that is not a number, a mask
            that is missing or none, or more weights asked for than ``within`` has left.
    """
    if scope not in SCOPES:
        raise unknown("scope", scope, SCOPES)
    scores = comparable(scores)
    for name, score in scores.items():
        if torch.isnan(score).any():
            raise PruningError(f"The scores of {name} contain NaN, so they cannot be ranked.")
    within = None if within is None else _all_of(taken(within, scores), scores)
    if scope == "layerwise":
        masks = {
            name: _top({name: score}, density, _only(within, name))[name]
            for name, score in scores.items()
        }
    else:
        masks = _top(scores, density, within)
    kept, total = counts(masks)
    if not kept:
        raise PruningError(f"Density {density:g} keeps none of {total} weights: prune less.")
    return masks


def comparable(scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Scores of one signed type that holds them all exactly, so that they can be ranked together.

    Whole numbers beyond 2^53 beside floating-point ones are rounded.

    Raises:
        PruningError: complex numbers, which have no order.
    """
    kinds = {score.dtype for score in scores.values()}
    if any(kind.is_complex for kind in kinds):
        raise PruningError("Complex scores cannot be ranked. Take their absolute value.")
    if not any(kind.is_floating_point for kind in kinds):
        kind = torch.int64  # booleans and unsigned numbers have no negatives
    else:
        kind = next(iter(kinds)) if len(kinds) == 1 else torch.float64
    return {name: score.to(kind) for name, score in scores.items()}


def permuted(mask: Tensor, generator: torch.Generator) -> Tensor:
    """The same number of kept entries at places drawn anew, every arrangement equally likely."""
    order = torch.randperm(mask.numel(), generator=generator)
    return mask.flatten()[order].view(mask.shape)


def empty(masks: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors that keep nothing: the layers that have collapsed."""
    return [name for name, mask in masks.items() if not mask.any()]


def _all_of(masks: Masks, scores: Mapping[str, Tensor]) -> Masks:
    for name, score in scores.items():
        if name not in masks or masks[name].shape != score.shape:
            raise PruningError(f"There is no mask of {name!r}, or of another shape, in `within`.")
    return masks


def _only(masks: Mapping[str, Tensor] | None, name: str) -> Masks | None:
    return None if masks is None else {name: masks[name]}


def _top(
    scores: Mapping[str, Tensor], density: float, within: Mapping[str, Tensor] | None
) -> Masks:
    total = sum(score.numel() for score in scores.values())
    keep = kept_count(density, total)
    values = [score.reshape(-1) for score in scores.values()]
    allowed = [
        torch.ones_like(value, dtype=torch.bool) if within is None else within[name].reshape(-1)
        for name, value in zip(scores, values, strict=True)
    ]
    left = sum(map(count, allowed))
    if keep > left:
        raise PruningError(
            f"Density {density} keeps {keep} of {total} weights, but earlier pruning left "
            f"only {left}: pruning never brings weights back."
        )
    chosen = _largest(values, allowed, keep)
    return {
        name: mask.view(score.shape)
        for (name, score), mask in zip(scores.items(), chosen, strict=True)
    }


def _largest(values: list[Tensor], allowed: list[Tensor], keep: int) -> list[Tensor]:
    """Which allowed values, over all (N,) tensors together, are the ``keep`` largest.

    Of equal ones the first. By an order statistic instead of a sort, and without gathering all
    tensors in one: SynFlow asks this a hundred times, of 15 million weights.
    """
    if keep == 0:
        return [torch.zeros_like(mask) for mask in allowed]
    threshold = kth_largest(values, keep, allowed)
    chosen = [(v > threshold) & a for v, a in zip(values, allowed, strict=True)]
    short = keep - sum(map(count, chosen))
    for mask, value, candidates in zip(chosen, values, allowed, strict=True):
        ties = ((value == threshold) & candidates).nonzero().squeeze(1)[:short]
        mask[ties] = True
        short -= len(ties)
    return chosen
