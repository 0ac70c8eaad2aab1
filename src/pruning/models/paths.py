"""Which kept weights matter: those on some path from the input to an output.

A weight behind a neuron that nothing reaches, or before one that nothing listens to, is kept in
name only. The share of prunable weights that are kept and on a path is the *effective* density.
"""

import copy
import functools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from pruning.errors import PruningError
from pruning.masks.mask import Masks
from pruning.models import layers
from pruning.models.precision import doubled, in_double

_functional = nn.functional
_AVERAGES = {
    _functional.max_pool1d: _functional.avg_pool1d,
    _functional.max_pool2d: _functional.avg_pool2d,
    _functional.max_pool3d: _functional.avg_pool3d,
    torch.max_pool1d: _functional.avg_pool1d,
    torch.max_pool2d: _functional.avg_pool2d,
    torch.max_pool3d: _functional.avg_pool3d,
}
_ADAPTIVE_AVERAGES = {
    _functional.adaptive_max_pool1d: _functional.adaptive_avg_pool1d,
    _functional.adaptive_max_pool2d: _functional.adaptive_avg_pool2d,
    _functional.adaptive_max_pool3d: _functional.adaptive_avg_pool3d,
}
_LARGEST = (torch.amax, Tensor.amax)
_SOFTMAX = (_functional.softmax, torch.softmax, Tensor.softmax)
# What tensors are divided by: a number that depends on all of their entries, and is on no path.
_SIZES = (Tensor.norm, torch.norm, torch.linalg.norm, torch.linalg.vector_norm)
# What normalizes: where the scale stands among the arguments.
_NORMS = {
    _functional.layer_norm: 2, _functional.group_norm: 2, _functional.rms_norm: 2,
    _functional.instance_norm: 3, _functional.local_response_norm: None,
    _functional.normalize: None,
}  # fmt: skip


class _EveryPath(TorchFunctionMode):
    """Operations that would hide a path, as others that are positive and rise everywhere.

    Max-pooling passes a gradient to its largest input alone; a path may lead through any. What
    normalizes subtracts one input from another, and so does softmax in its gradient: both pass
    their input on, which is positive.
    """

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):  # noqa: ANN204
        kwargs = kwargs or {}
        if function in _AVERAGES:
            settings = dict(zip(("kernel_size", "stride", "padding"), args[1:], strict=False))
            settings |= {k: kwargs[k] for k in ("kernel_size", "stride", "padding") if k in kwargs}
            return _AVERAGES[function](args[0], **settings)
        if function in _ADAPTIVE_AVERAGES:
            size = args[1] if len(args) > 1 else kwargs["output_size"]
            return _ADAPTIVE_AVERAGES[function](args[0], size)
        if function in _LARGEST:
            return torch.mean(*args, **kwargs)
        if function in _SOFTMAX:
            return args[0] if args else kwargs["input"]
        if function is _functional.scaled_dot_product_attention:
            return _attended(*(_argument(args, kwargs, i, n) for i, n in enumerate(_QUERIES)))
        if function is _functional.embedding:
            return _any_row(*args[:2])
        if function is _functional.embedding_bag:
            return _any_bag(*args, **kwargs)
        if function in _SIZES:
            return function(*args, **kwargs).detach().clamp(min=1e-30)
        if function in _NORMS:
            return _passed_on(function, args, kwargs)
        return function(*args, **kwargs)


_QUERIES = ("query", "key", "value")


def _argument(args: Any, kwargs: Any, place: int, name: str) -> Any:
    return args[place] if len(args) > place else kwargs.get(name)


def _any_row(given: Tensor, weight: Tensor) -> Tensor:
    """An embedding of whichever row: another example picks another."""
    return weight.mean(0).expand(*given.shape, -1)


def _any_bag(
    given: Tensor, weight: Tensor, offsets: Tensor | None = None, *_: Any, **named: Any
) -> Tensor:
    bags = len(given) if offsets is None else len(offsets)
    bags -= bool(offsets is not None and named.get("include_last_offset"))
    return weight.mean(0).expand(bags, -1)


def _passed_on(function: Any, args: Any, kwargs: Any) -> Tensor:
    """The input of what normalizes, times its scale."""
    given, place = _argument(args, kwargs, 0, "input"), _NORMS[function]
    scale = None if place is None else _argument(args, kwargs, place, "weight")
    if scale is None:
        return given
    whole = function in (_functional.layer_norm, _functional.rms_norm)
    return given * (scale if whole else scale.view(-1, *[1] * (given.ndim - 2)))


def _attended(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention without softmax and masks: every position may look at every other."""
    weights = query @ key.transpose(-2, -1)
    # So that many layers, each with a product of three, do not overflow.
    return weights / weights.detach().amax().clamp(min=1e-30) @ value / key.shape[-2]


def _attend(layer: nn.MultiheadAttention, *args: Any, **kwargs: Any) -> tuple[Tensor, None]:
    """A forward pass of attention by :func:`_attended`, head by head."""
    query, key, value = (_argument(args, kwargs, i, n) for i, n in enumerate(_QUERIES))
    if layer.in_proj_weight is None:
        matrices = (layer.q_proj_weight, layer.k_proj_weight, layer.v_proj_weight)
    else:
        matrices = layer.in_proj_weight.chunk(3)
    given = [
        x if layer.batch_first or x.ndim == 2 else x.transpose(0, 1) for x in (query, key, value)
    ]
    heads = [
        (x @ matrix.T).unflatten(-1, (layer.num_heads, -1)).transpose(-3, -2)
        for x, matrix in zip(given, matrices, strict=True)
    ]
    made = layer.out_proj(_attended(*heads).transpose(-3, -2).flatten(-2))
    return made if layer.batch_first or made.ndim == 2 else made.transpose(0, 1), None


def on_a_path(module: nn.Module, masks: Mapping[str, Tensor], example: tuple[Tensor, ...]) -> Masks:
    """The kept weights on some path from the input to an output.

    Every kept weight is made positive, biases are zero, pruned ones too, and normalizations pass
    their input on, so that nothing cancels; a weight is on a path where its gradient is not zero
    (float64).

    Args:
        module: the network; it is not changed.
        masks: what is kept, by parameter name; a mask of batch-norm scales silences channels.
        example: what the network takes, a batch of one; what is real is 1 throughout.

    Returns:
        Masks of the same names, subsets of ``masks``.

    Raises:
        PruningError: the network's output is no finite number even so.
    """
    model = copy.deepcopy(module).cpu().double().eval().requires_grad_(True)
    named, biases = dict(model.named_parameters()), set()
    with torch.no_grad():
        for prefix, layer in model.named_modules():
            left_out = layers.biases(layer)
            biases |= {layers.inside(prefix, name) for name in left_out}
            for name, parameter in layer.named_parameters(recurse=False):
                parameter.fill_(0 if name in left_out else 1)
            if isinstance(layer, nn.modules.batchnorm._NormBase):
                layer.reset_running_stats()
        for name, parameter in named.items():
            if name in biases:
                continue  # a path begins at the input
            kept = masks[name].to(torch.float64) if name in masks else parameter
            # Divided by what a filter keeps, so that deep networks neither overflow nor vanish.
            if kept.ndim > 1:
                fan_in = kept.flatten(1).sum(1).clamp(min=1)
                kept = kept / fan_in.view(-1, *[1] * (kept.ndim - 1))
            parameter.copy_(kept)
    weights = [named[name] for name in masks]
    for layer in model.modules():
        if isinstance(layer, nn.MultiheadAttention):
            layer.forward = functools.partial(_attend, layer)
    with in_double(), _EveryPath():
        total = model(*map(doubled, example)).sum()
    if not torch.isfinite(total):
        raise PruningError(
            "Paths through this network cannot be followed: the sum of its outputs is "
            f"{total.item()} with all weights positive."
        )
    gradients = torch.autograd.grad(total, weights, allow_unused=True)
    return {
        name: torch.zeros_like(masks[name])
        if g is None
        else (masks[name].to(g.device) & (g != 0) if name in biases else (w * g).detach().abs() > 0)
        for name, w, g in zip(masks, weights, gradients, strict=True)
    }
