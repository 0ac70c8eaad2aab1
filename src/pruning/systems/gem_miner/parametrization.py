"""Weights that are the frozen ones times a mask that scores decide, as torch's parametrizations.

A layer computes with ``weight`` as ever, and gets ``w * m``. The mask has no derivative, so scores
are given the gradient that a mask equal to them would give (straight-through).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from pruning.errors import PruningError

THRESHOLD = 0.5  # a score above it, not at it, keeps its weight; the paper writes "at least"


class _Rounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, scores: Tensor, flags: Tensor) -> Tensor:
        ctx.save_for_backward(weight, flags)
        return torch.where(Rounded.active(scores, flags), weight, 0.0)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None]:
        weight, flags = ctx.saved_tensors
        return None, torch.where(flags, gradient * weight, 0.0), None


class _Largest(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, scores: Tensor, threshold: Tensor) -> Tensor:
        ctx.save_for_backward(weight, scores)
        return torch.where(Largest.active(scores, threshold), weight, 0.0)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None]:
        weight, scores = ctx.saved_tensors
        return None, (gradient * weight).mul_(scores.sign()), None


class Rounded(nn.Module):
    """w * r(p) * q, with r(p) = 1 where p > 0.5 (Sreenivasan et al., section 3).

    The gradient of p is that of the product times w * q: a weight that is rounded to zero may come
    back, one that is frozen out (q = 0) may not.

    Args:
        weight: gives shape and kind; scores and flags have values only once they are loaded.
    """

    slot = "flags"  # the name of its buffer

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.empty_like(weight, requires_grad=False))
        self.register_buffer("flags", torch.ones_like(weight, dtype=torch.bool))

    def forward(self, weight: Tensor) -> Tensor:
        """What the layer computes with."""
        return _Rounded.apply(weight, self.scores, self.flags)

    @staticmethod
    def active(scores: Tensor, flags: Tensor) -> Tensor:
        """The mask r(p) * q: which weights are neither frozen out nor rounded to zero."""
        return (scores > THRESHOLD) & flags

    @staticmethod
    def kept(scores: Tensor, flags: Tensor) -> Tensor:
        """The mask q: which weights are not frozen out."""
        return flags


class Largest(nn.Module):
    """w where |s| is at least a threshold (Ramanujan et al. 2020, section 3.2).

    The gradient of s is that of the product times w * sign(s), for every weight: what the mask
    passes straight through is |s|.

    Args:
        weight: gives shape and kind; scores and threshold have values only once they are loaded.
    """

    slot = "threshold"

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.empty_like(weight, requires_grad=False))
        self.register_buffer("threshold", weight.new_zeros(()))

    def forward(self, weight: Tensor) -> Tensor:
        """What the layer computes with."""
        return _Largest.apply(weight, self.scores, self.threshold)

    @staticmethod
    def active(scores: Tensor, threshold: Tensor) -> Tensor:
        """The mask of the scores whose size is at least the threshold, ties included."""
        return scores.abs() >= threshold

    @staticmethod
    def kept(scores: Tensor, threshold: Tensor) -> Tensor:
        """The same mask: nothing is frozen out."""
        return Largest.active(scores, threshold)


Masked = Rounded | Largest

KINDS: dict[str, type[Masked]] = {"rounded": Rounded, "layerwise": Largest, "global": Largest}


def parametrized(module: nn.Module, names: Sequence[str], mask: str) -> list[Masked]:
    """Put scores before the prunable weights of a module, in place; nothing else of it trains.

    Biases, batch norm's parameters and exempt kernels stay as they are too, as the authors freeze
    them.

    Args:
        module: the network.
        names: of its prunable weights.
        mask: a key of :data:`KINDS`.

    Returns:
        What was put in, in the order of ``names``.

    Raises:
        PruningError: a weight that does not exist, is shared, is no parameter of its own, or
            requires no gradient; the message names it.
    """
    _refuse(module, names)
    module.requires_grad_(False)
    found = []
    for name in names:
        owner, _, attribute = name.rpartition(".")
        layer = module.get_submodule(owner)
        part = KINDS[mask](getattr(layer, attribute))
        # Unsafe: no trial run, as weights and scores have no values yet.
        parametrize.register_parametrization(layer, attribute, part, unsafe=True)
        found.append(part)
    return found


def _refuse(module: nn.Module, names: Sequence[str]) -> None:
    named = dict(module.named_parameters(remove_duplicate=False))
    owners: dict[int, list[str]] = {}
    for name, parameter in named.items():
        owners.setdefault(id(parameter), []).append(name)
    for name in names:
        if name not in named:
            raise PruningError(
                f"The weight {name!r} is no parameter of this network, or is parametrized already: "
                "a search needs plain weights."
            )
        shared = owners[id(named[name])]
        if len(shared) > 1:
            raise PruningError(
                f"The weight {name!r} is shared by {', '.join(shared)}, and a search gives every "
                "weight one score. Untie them, or exempt these layers."
            )
        if not named[name].requires_grad:
            raise PruningError(
                f"The weight {name!r} requires no gradient, so no score of it could be learned. "
                "Exempt its layer, or let it require one."
            )


def original_name(name: str) -> str:
    """What a parametrized module calls the frozen weight."""
    return _inside(name, "original")


def scores_name(name: str) -> str:
    """What a parametrized module calls a weight's scores."""
    return _inside(name, "0.scores")


def buffer_name(name: str, mask: str) -> str:
    """What a parametrized module calls a weight's flags or threshold."""
    return _inside(name, f"0.{KINDS[mask].slot}")


def _inside(name: str, leaf: str) -> str:
    owner, _, attribute = name.rpartition(".")
    return ".".join(filter(None, (owner, "parametrizations", attribute, leaf)))
