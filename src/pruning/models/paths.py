"""Which kept weights matter: those on some path from the input to an output.

A weight behind a neuron that nothing reaches, or before one that nothing listens to, is kept in
name only. The share of prunable weights that are kept and on a path is the *effective* density.
"""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from pruning.masks.mask import Masks

_MAX_POOLS = (nn.functional.max_pool2d, torch.max_pool2d)


class _PoolAll(TorchFunctionMode):
    """Max-pooling passes a gradient to its largest input alone; a path may lead through any."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):  # noqa: ANN204
        kwargs = kwargs or {}
        if function in _MAX_POOLS:
            settings = dict(zip(("kernel_size", "stride", "padding"), args[1:], strict=False))
            settings |= {k: kwargs[k] for k in ("kernel_size", "stride", "padding") if k in kwargs}
            return nn.functional.avg_pool2d(args[0], **settings)
        return function(*args, **kwargs)


def doubled(given: Tensor) -> Tensor:
    """Real numbers in double precision; whole ones, such as indices, as they are."""
    return given.double() if given.is_floating_point() else given


def on_a_path(module: nn.Module, masks: Mapping[str, Tensor], example: tuple[Tensor, ...]) -> Masks:
    """The kept weights on some path from the input to an output.

    Every kept weight is made positive, biases are left out and batch norm passes its input on, so
    that nothing cancels; a weight is on a path where its gradient is not zero (float64).

    Args:
        module: the network; it is not changed.
        masks: what is kept, by parameter name; a mask of batch-norm scales silences channels.
        example: what the network takes, a batch of one; what is real is 1 throughout.

    Returns:
        Masks of the same names, subsets of ``masks``.
    """
    model = copy.deepcopy(module).cpu().double().eval().requires_grad_(True)
    named = dict(model.named_parameters())
    with torch.no_grad():
        for layer in model.modules():
            for name, parameter in layer.named_parameters(recurse=False):
                parameter.fill_(0 if name == "bias" else 1)
            if isinstance(layer, nn.modules.batchnorm._NormBase):
                layer.reset_running_stats()
        for name, parameter in named.items():
            kept = masks[name].to(torch.float64) if name in masks else parameter
            # Divided by what a filter keeps, so that deep networks neither overflow nor vanish.
            fan_in = kept.flatten(1).sum(1).clamp(min=1) if kept.ndim > 1 else kept.new_ones(1)
            parameter.copy_(kept / fan_in.view(-1, *[1] * (kept.ndim - 1)))
    weights = [named[name] for name in masks]
    with _PoolAll():
        total = model(*map(doubled, example)).sum()
    gradients = torch.autograd.grad(total, weights, allow_unused=True)
    return {
        name: torch.zeros_like(masks[name]) if g is None else (w * g).detach() > 0
        for name, w, g in zip(masks, weights, gradients, strict=True)
    }
