"""A training state: everything a training goes on from."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from pruning.errors import PruningError
from pruning.masks import mask as masking
from pruning.models import shape as shapes


@dataclass(frozen=True)
class State:
    """Weights, buffers, optimizer slots, masks, step and generators; all tensors on the CPU.

    Attributes:
        weights: every trainable parameter by name.
        buffers: batch-norm running statistics and other buffers by name.
        slots: optimizer tensors as ``slot/parameter name``; empty before the first step.
        masks: boolean, True = kept, for the prunable weights; empty while dense. Others that hold 0
            and 1 are made so, see :func:`pruning.masks.mask.taken`.
        step: optimizer updates so far, as the schedule counts them.
        generators: states of the generators that forward passes draw from (dropout), uint8.
        shape: which channels of its layers the network has, see :mod:`pruning.models.shape`; empty
            while it has all that its code builds.
    """

    weights: Mapping[str, Tensor]
    buffers: Mapping[str, Tensor]
    slots: Mapping[str, Tensor] = field(default_factory=dict)
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    step: int = 0
    generators: Mapping[str, Tensor] = field(default_factory=dict)
    shape: shapes.Shape = field(default_factory=dict)

    def __post_init__(self) -> None:
        if any(getattr(mask, "dtype", None) != torch.bool for mask in self.masks.values()):
            object.__setattr__(self, "masks", masking.taken(self.masks, self.weights))

    def masked(self, masks: Mapping[str, Tensor]) -> "State":
        """The same state under other masks: weights and slots exactly zero where masked.

        Raises:
            PruningError: a mask for a weight that does not exist, of another shape, or that is
                none; see :func:`pruning.masks.mask.taken`.
        """
        masks = {name: mask.cpu() for name, mask in masking.taken(masks, self.weights).items()}
        for name, mask in masks.items():
            if name not in self.weights:
                near = difflib.get_close_matches(name, list(self.weights), n=1, cutoff=0.5)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise PruningError(
                    f"The mask of {name!r} does not fit this network: it has no such weight.{hint}"
                )
            if mask.shape != self.weights[name].shape:
                raise PruningError(
                    f"The mask of {name!r} does not fit this network: it is {tuple(mask.shape)}, "
                    f"the weight {tuple(self.weights[name].shape)}."
                )
        by_slot = {}
        for key, slot in self.slots.items():
            mask = masks.get(key.partition("/")[2])
            if mask is not None and mask.shape == slot.shape:  # not Adam's scalar step
                by_slot[key] = mask
        return replace(
            self,
            weights=masking.apply(masks, self.weights),
            slots=masking.apply(by_slot, self.slots),
            masks=masks,
        )

    def cut(self, change: shapes.Cuts) -> "State":
        """The same state of a network without some channels; the network keeps its names.

        Raises:
            PruningError: a slot that cannot be cut along with its weight.
        """
        constants = {f"{name}.value": value for name, value in change.constants.items()}
        return replace(
            self,
            weights=shapes.cut_tensors(self.weights, change),
            buffers=shapes.cut_tensors(self.buffers, change) | constants,
            slots=shapes.cut_tensors(self.slots, change, self.weights),
            masks=shapes.cut_tensors(self.masks, change),
            shape=shapes.changed(self.shape, change),
        )


def capture(module: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> State:
    """Copies of a module's weights and buffers and an optimizer's slots: dense, of step 0.

    Args:
        module: the network.
        optimizer: over its parameters; None for a network that has not been trained yet.
    """
    return State(
        weights=_cpu(dict(module.named_parameters())),
        buffers=_cpu(dict(module.named_buffers())),
        slots=_cpu(slots(optimizer, module)) if optimizer is not None else {},
    )


def slots(optimizer: torch.optim.Optimizer, module: nn.Module) -> dict[str, Tensor]:
    """The optimizer's tensors as ``slot/parameter name``, copied."""
    return {
        f"{slot}/{name}": value.detach().clone()
        for name, parameter in module.named_parameters()
        for slot, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, Tensor)
    }


def load_slots(
    optimizer: torch.optim.Optimizer, module: nn.Module, values: Mapping[str, Tensor]
) -> None:
    """Put tensors from :func:`slots` back. Parameters without any start with fresh slots.

    Raises:
        PruningError: a slot of a parameter that the module does not have.
    """
    parameters = dict(module.named_parameters())
    for key, value in values.items():
        slot, _, name = key.partition("/")
        if name not in parameters:
            raise PruningError(f"The state has optimizer slot {key!r}, the network no such weight.")
        parameter = parameters[name]
        if value.shape == parameter.shape:
            # In the parameter's memory layout: fused kernels walk both side by side.
            value = torch.empty_like(parameter).copy_(value)
        optimizer.state[parameter][slot] = value.detach().clone()


def _cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()
    }


@torch.no_grad()
def load_into(module: nn.Module, state: State) -> None:
    """Copy weights (masked) and buffers into a module.

    Raises:
        PruningError: the names or shapes differ: the state is of another network.
    """
    weights = masking.apply(state.masks, state.weights)
    for kind, own, given in (
        ("weights", dict(module.named_parameters()), weights),
        ("buffers", dict(module.named_buffers()), state.buffers),
    ):
        mine = {name: tuple(t.shape) for name, t in own.items()}
        theirs = {name: tuple(t.shape) for name, t in given.items()}
        if mine != theirs:
            differing = sorted(set(mine.items()) ^ set(theirs.items()))[:4]
            raise PruningError(
                f"This state is of another network: its {kind} differ, first in {differing}."
            )
        for name, tensor in own.items():
            tensor.copy_(given[name])
