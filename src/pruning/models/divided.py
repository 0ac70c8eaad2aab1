"""Tensors that a network divides by the size of, and that pruning must leave something of."""

from collections.abc import Mapping

from torch import Tensor, nn

from pruning.errors import PruningError
from pruning.models.layers import inside


class Emptied(PruningError):
    """Nothing is left of a tensor that is divided by."""


def refuse_emptied(name: str, module: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Refuse masks of which the network would make 0 / 0.

    A module says which of its tensors these are: ``divides_by``, a tuple of names.

    Args:
        name: of what is done, for messages.
        module: the network.
        masks: what is kept, by parameter name.

    Raises:
        Emptied: naming the tensors that nothing is left of.
    """
    emptied = [
        tensor
        for prefix, layer in module.named_modules()
        for tensor in (inside(prefix, own) for own in getattr(layer, "divides_by", ()))
        if tensor in masks and not bool(masks[tensor].any())
    ]
    if emptied:
        raise Emptied(
            f"{name}: pruning leaves nothing of {', '.join(emptied)}, and the network divides by "
            "its norm, so that it would make no numbers. List it under `exempt`, prune less, or "
            "choose an initialization whose weights are of like size in all tensors."
        )
