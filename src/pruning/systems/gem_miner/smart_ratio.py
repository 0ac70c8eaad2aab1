"""Random masks whose layers have densities by a rule: Smart Ratio (Su et al., NeurIPS 2020).

As Sreenivasan et al.'s code has it: of L layers from the input, layer l keeps a share proportional
to (L - l + 1)^2 + (L - l + 1), the last layer 30 % whatever the density. (A random subnetwork
without a rule is the score ``random``.)
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from pruning.errors import PruningError, unknown
from pruning.masks import mask as masking
from pruning.masks.weights import Pruned, masks_so_far
from pruning.seeds import generator
from pruning.training.state import State
from pruning.training.task import Task

CLASSIFIER = 0.3  # the share that the last layer keeps
RULES = ("quadratic", "quadratic_over_depth")


def budgets(sizes: Sequence[int], density: float, layer_rule: str = "quadratic") -> list[int]:
    """How many weights each layer keeps.

    What a layer cannot hold of its budget goes to the next ones, in whole weights; every budget is
    rounded down, so that less than two weights a layer are missing in the sum.

    Args:
        sizes: weights of each layer in the order from the input, the classifier last.
        density: fraction kept of all of them.
        layer_rule: ``quadratic``, or ``quadratic_over_depth``, which divides by l^2 (for VGG).

    Raises:
        PruningError: an unknown rule, fewer than two layers, or a density that the classifier alone
            exceeds or that the other layers cannot hold.
    """
    if layer_rule not in RULES:
        raise unknown("rule of layer densities", layer_rule, RULES)
    layers = len(sizes)
    if layers < 2:
        raise PruningError("Smart Ratio divides weights among layers and needs at least two.")
    ratios = [(layers - k) ** 2 + (layers - k) for k in range(layers - 1)]
    if layer_rule == "quadratic_over_depth":
        ratios = [ratio / (k + 1) ** 2 for k, ratio in enumerate(ratios)]
    budget = density * sum(sizes) - CLASSIFIER * sizes[-1]
    if budget <= 0:
        raise PruningError(
            f"Smart Ratio keeps {CLASSIFIER:.0%} of the last layer, which is more than density "
            f"{density:g} allows for all of them. Prune less."
        )
    scale = budget / sum(ratio * size for ratio, size in zip(ratios, sizes[:-1], strict=True))
    kept, over = [], 0
    for ratio, size in zip(ratios, sizes[:-1], strict=True):
        count, over = _filled(scale * ratio, size, over)
        kept.append(count)
    if over:
        raise PruningError(
            f"Smart Ratio keeps {CLASSIFIER:.0%} of the last layer, and the others cannot hold the "
            f"rest of density {density:g}. Prune more."
        )
    return [*kept, int(CLASSIFIER * sizes[-1])]


def smart_ratio(
    task: Task,
    state: State,
    *,
    density: float,
    layer_rule: str = "quadratic",
    seed: int = 0,
    purpose: tuple[str | int, ...] = (),
) -> Pruned:
    """Random masks by :func:`budgets`; every subset of a layer's budget is equally likely.

    Args:
        task: names the prunable weights.
        state: only the shapes of its weights matter; dense.
        density: fraction kept.
        layer_rule: see :func:`budgets`.
        seed, purpose: decide the draws, of each layer by a generator of its own.

    Raises:
        PruningError: see :func:`budgets`; a density outside (0, 1]; a state with masks.
    """
    masking.kept_count(density, 1)  # refuses what is no density
    if state.masks:
        raise PruningError("Smart Ratio prunes a dense state, and this one has masks.")
    whole = masks_so_far(state, task.prunable())
    try:
        kept = budgets([mask.numel() for mask in whole.values()], density, layer_rule)
    except PruningError as error:
        raise PruningError(f"{task.name} (gem_miner.densities): {error}") from None
    masks = {
        name: _random(mask, count, generator(seed, *purpose, "smart ratio", name))
        for (name, mask), count in zip(whole.items(), kept, strict=True)
    }
    return Pruned(masks, masks, density)


def _filled(share: float, size: int, over: int) -> tuple[int, int]:
    """What a layer keeps of its share and of what layers before could not hold, and what is over.

    Rounded in the places where the authors' code rounds.
    """
    if share >= 1:
        return size, over + int((share - 1) * size)
    room = int((1 - share) * size)
    if room < over:
        return size, over - room
    return int((share + over / size) * size), 0


def _random(like: Tensor, kept: int, source: torch.Generator) -> Tensor:
    first = torch.zeros_like(like).flatten()
    first[:kept] = True
    return masking.permuted(first, source).view(like.shape)
