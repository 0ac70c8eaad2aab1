"""Tensors by whose norm a network divides: a mask that empties one leaves a network of no numbers.

A module says so itself, a user's own too: its method ``divides_by()`` gives the names of such
tensors of it, as its ``named_parameters`` have them.
"""

from collections.abc import Mapping
from operator import attrgetter

from torch import Tensor, nn

from pruning.errors import PruningError, unknown
from pruning.models.layers import inside


class Emptied(PruningError):
    """Nothing is left of a tensor that a network divides by."""


def divisors(module: nn.Module) -> list[str]:
    """Names of the tensors that any part of a network says it divides by, in module order.

    Where parts share a tensor, its first name.

    Raises:
        PruningError: a part names a tensor that it does not have.
    """
    first = {id(p): name for name, p in module.named_parameters()}
    found = []
    for prefix, part in module.named_modules():
        if not callable(getattr(part, "divides_by", None)):
            continue
        for name in part.divides_by():
            found.append(first.get(id(_tensor(part, name)), inside(prefix, name)))
    return [*dict.fromkeys(found)]


def _tensor(part: nn.Module, name: str) -> Tensor:
    """A tensor of a part, also one that is made of others by a parametrization."""
    try:
        return attrgetter(name)(part)
    except AttributeError:
        told = unknown("tensor", name, dict(part.named_parameters()))
        raise PruningError(f"divides_by() of {type(part).__name__}: {told}") from None


def refuse_empty(module: nn.Module, masks: Mapping[str, Tensor], name: str = "") -> None:
    """Refuse masks that leave nothing of a tensor by whose norm a network divides.

    Args:
        module: the network.
        masks: what is kept, by weight name.
        name: of what is done, for the message.

    Raises:
        Emptied: there are such; the message names them.
    """
    empty = [name for name in divisors(module) if name in masks and not bool(masks[name].any())]
    if empty:
        them = "them" if len(empty) > 1 else "it"
        about = f"{name}: " if name else ""
        raise Emptied(
            f"{about}The masks leave nothing of {', '.join(empty)}, and the network divides by the "
            f"norm of {them}, so that all it gives would be no numbers. Prune less, list {them} "
            "under `exempt`, or initialize so that all tensors have weights of like size."
        )
