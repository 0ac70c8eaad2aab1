"""Group lasso on the channels of a network: value, gradient, soft-thresholding, strength.

Reference, section 1.1: every weight of a convolution or linear layer is in two groups, those of its
input and of its output channel; the penalty is the sum of all groups' norms. Depthwise layers,
batch norms and biases have none. The groups of channels that cannot go (of the network's input and
of its outputs) are left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pruning.models.channels import WEIGHT, Channels


@dataclass(frozen=True)
class Groups:
    """The groups of one layer.

    Attributes:
        weight: (K, C, ...) of the layer.
        inputs: (C,) how much the group of each input channel counts; 0 of one that cannot go.
        outputs: (K,) the same of each output channel.
    """

    weight: nn.Parameter
    inputs: Tensor
    outputs: Tensor


def groups_of(module: nn.Module, channels: Channels, scaled: bool = False) -> dict[str, Groups]:
    """The groups of every layer that has any, by its name.

    Args:
        module: the network.
        channels: of it.
        scaled: whether a group counts times the root of its number of weights.
    """
    found = {}
    for name, layer in channels.layers.items():
        if layer.kind != WEIGHT:
            continue
        weight = module.get_submodule(name).weight
        if not weight.requires_grad:
            continue
        sizes = {"inputs": weight[:, 0].numel(), "outputs": weight[0].numel()}
        counts = {
            side: torch.tensor(
                [
                    0.0 if channel in channels.fixed else size**0.5 if scaled else 1.0
                    for channel in getattr(layer, side)
                ],
                device=weight.device,
                dtype=weight.dtype,
            )
            for side, size in sizes.items()
        }
        if any(count.any() for count in counts.values()):
            found[name] = Groups(weight, **counts)
    return found


def penalty(groups: Mapping[str, Groups], epsilon: float) -> Tensor:
    """G, the sum of sqrt(|group|^2 + epsilon) over all groups, as they count; a scalar."""
    terms = []
    for layer in groups.values():
        inputs, outputs = _norms(layer.weight, epsilon)
        terms += [(layer.inputs * inputs).sum(), (layer.outputs * outputs).sum()]
    return torch.stack(terms).sum()


@torch.no_grad()
def add_gradient(groups: Mapping[str, Groups], strength: float, epsilon: float) -> None:
    """Add the gradient of strength * G to the weights' gradients: w / norm for each of its groups.

    In closed form, as differentiating G would cost as much as a small network's step.
    """
    for layer in groups.values():
        weight = layer.weight
        if weight.grad is None:  # a layer before a body that is gone
            continue
        inputs, outputs = _norms(weight, epsilon)
        factors = (layer.outputs / outputs)[:, None] + (layer.inputs / inputs)[None, :]
        weight.grad.addcmul_(weight, _spread(factors, weight), value=strength)


@torch.no_grad()
def soften(groups: Mapping[str, Groups], threshold: float) -> None:
    """Shrink every group's norm by threshold times what it counts, to no less than zero.

    The exact proximal step of one kind of group, then of the other: for overlapping groups together
    there is none in closed form.
    """
    for layer in groups.values():
        weight = layer.weight
        for axis, counts in ((1, layer.inputs), (0, layer.outputs)):
            norms = weight.square().sum([d for d in range(weight.ndim) if d != axis]).sqrt()
            factors = (1 - threshold * counts / norms.clamp(min=1e-30)).clamp(min=0)
            weight.mul_(factors.view([-1 if d == axis else 1 for d in range(weight.ndim)]))


def strength_of(ratio: float, loss: float, value: float) -> float:
    """Lambda, of which the penalty makes a share of the whole loss: section 1.2.

    Args:
        ratio: lambda * G / (loss + lambda * G), in (0, 1).
        loss: of the task on the first batch, at the start.
        value: G at the start.
    """
    return ratio / (1 - ratio) * loss / value


def bound(epsilon: float, momentum: float) -> float:
    """What learning rate * lambda has to stay below, or dead channels chatter: section 6.3.

    Near zero the two groups of a weight make a curvature of 2 lambda / sqrt(epsilon), and
    gradient descent with momentum is stable below 2 (1 + momentum) / learning rate.
    """
    return (1 + momentum) * epsilon**0.5


def _norms(weight: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    squares = weight.square()
    if squares.ndim > 2:
        squares = squares.flatten(2).sum(2)
    return (squares.sum(0) + epsilon).sqrt(), (squares.sum(1) + epsilon).sqrt()


def _spread(factors: Tensor, weight: Tensor) -> Tensor:
    return factors.view(*factors.shape, *[1] * (weight.ndim - 2))
