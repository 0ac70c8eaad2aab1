"""Masks that keep as many weights of each layer as others do, at places drawn anew."""

from collections.abc import Mapping

from torch import Tensor

from pruning.masks import mask as masking
from pruning.masks.weights import Pruned
from pruning.seeds import generator
from pruning.training.task import Task


def shuffle_masks(
    task: Task,
    masks: Mapping[str, Tensor],
    *,
    density: float,
    seed: int = 0,
    purpose: tuple[str | int, ...] = (),
) -> Pruned:
    """:func:`shuffle_layerwise` as a stage calls it; nothing is scored.

    Args:
        task: taken for the sake of the common signature.
        masks: of an earlier pruning.
        density: that was asked for there.
        seed, purpose: decide the new places.
    """
    del task
    shuffled = shuffle_layerwise(masks, seed, *purpose)
    return Pruned(shuffled, shuffled, density)


def shuffle_layerwise(masks: Mapping[str, Tensor], seed: int, *purpose: str | int) -> masking.Masks:
    """Permute each mask's entries; how many every tensor keeps stays (Frankle et al. 2021)."""
    return {
        name: masking.permuted(mask, generator(seed, *purpose, "shuffle", name))
        for name, mask in masks.items()
    }
