"""Structured pruning: whole filters with the smallest L1 norm (Li et al. 2017).

As in the code of Renda et al. (2020), reference section 3: the number of filters that goes is
rounded down plus one Bernoulli draw with the fractional part as its probability, and the draws are
the same for every replicate, so that all of them lose equally many.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import floor
from random import Random

from torch import Tensor

from pruning import masks as masking
from pruning.errors import PruningError
from pruning.methods.selection import Pruned, surviving
from pruning.training.state import State
from pruning.training.task import Task

SHORTCUT = "shortcut"  # how the networks name the path around a block


def prune_filters(
    task: Task,
    state: State,
    *,
    thinnings: Sequence[Mapping],
    level: int,
    seed: int = 0,
    purpose: tuple[str | int, ...] = (),
) -> Pruned:
    """Remove the filters of some convolutions with the smallest L1 norm.

    Args:
        task: names the prunable weights.
        state: what to rank; what is masked counts as zero.
        thinnings: ``convs`` (indices from 1, projections not counted) and ``fraction`` of each
            group, see :mod:`pruning.methods.filter_fractions`.
        level: i removes 1 - (1 - fraction)^i of the filters.
        seed, purpose: taken for the sake of the common signature; every replicate loses equally
            many filters.

    Returns:
        Masks that zero the filters; ``remaining`` also lacks what they feed.

    Raises:
        PruningError: an index that is no convolution, listed twice, or exempt.
    """
    del seed, purpose
    weights, current = surviving(task, state)
    convs = main_convs(current)
    fractions = _fractions(thinnings, convs)
    draws = Random(0)  # as the authors: re-seeded at each call; with it the counts are theirs
    masks = {name: mask.clone() for name, mask in current.items()}
    for index, fraction in sorted(fractions.items()):
        name = convs[index - 1]
        norms = weights[name].abs().flatten(1).sum(1)
        removed = _filters_to_remove(len(norms), 1 - (1 - fraction) ** level, draws)
        masks[name][norms.sort(stable=True).indices[:removed]] = False
    remaining = cut(masks)
    return Pruned(masks, remaining, masking.density(remaining))


def main_convs(weights: Mapping[str, Tensor]) -> list[str]:
    """Names of the convolution kernels in module order, projections of shortcuts left out."""
    return [n for n, w in weights.items() if w.ndim == 4 and SHORTCUT not in n.split(".")]


def cut(masks: Mapping[str, Tensor]) -> masking.Masks:
    """The masks of the network that is left when removed filters are really cut out.

    A filter that is gone takes the matching inputs of the next layer with it (the next main
    convolution, or the linear layer). As the published densities count, so do the matching inputs
    of a projection in the next block: an odd convention, as a projection reads the block's output,
    and worth less than 0.2 percentage points of density; without it the published counts of kept
    weights are not met.

    Args:
        masks: by weight name in module order.
    """
    remaining = {name: mask.clone() for name, mask in masks.items()}
    main = [n for n in masks if SHORTCUT not in n.split(".")]
    for name, following in pairwise(main):
        gone = ~masks[name].flatten(1).any(1)
        if not gone.any() or masks[name].ndim != 4:
            continue
        target = remaining[following]
        inputs = gone.repeat_interleave(target.shape[1] // len(gone))  # a linear layer: H x W each
        target[:, inputs] = False
    for projection, source in _projections(masks).items():
        gone = ~masks[source].flatten(1).any(1)
        remaining[projection][:, gone] = False
    return remaining


def _projections(masks: Mapping[str, Tensor]) -> dict[str, str]:
    """Each projection, and the first convolution of the block before its own."""
    sources, main = {}, []
    for name in masks:
        block, is_shortcut, _ = name.partition(f".{SHORTCUT}.")
        if not is_shortcut:
            main.append(name)
            continue
        before = [n for n in main if not n.startswith(f"{block}.")]
        if len(before) > 1 and len(masks[before[-2]]) == masks[name].shape[1]:
            sources[name] = before[-2]
    return sources


def _fractions(thinnings: Sequence[Mapping], convs: list[str]) -> dict[int, float]:
    fractions: dict[int, float] = {}
    for thinning in thinnings:
        for index in thinning["convs"]:
            if not 1 <= index <= len(convs):
                raise PruningError(
                    f"Structured pruning names convolution {index}, but this network has "
                    f"{len(convs)} that may be pruned (counted from 1, projections left out)."
                )
            if index in fractions:
                raise PruningError(f"Structured pruning names convolution {index} twice.")
            fractions[index] = thinning["fraction"]
    return fractions


def _filters_to_remove(filters: int, fraction: float, draws: Random) -> int:
    wanted = filters * fraction
    count = floor(wanted)
    # All of them may go, as in the published level 5: a residual block is then its shortcut alone.
    return count + int(draws.random() < wanted - count)
