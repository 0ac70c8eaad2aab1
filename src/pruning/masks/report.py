"""What masks leave of a network: counts, paths, and how its output channels fared."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pruning.masks import mask as masking
from pruning.models.layers import named_kernels, outputs_first
from pruning.models.paths import on_a_path
from pruning.training.task import Task

BINS = 100  # of channel sparsity; what lost everything is counted apart


def report(task: Task, masks: Mapping[str, Tensor]) -> dict[str, Any]:
    """Plain values that describe masks.

    Args:
        task: the network, and which of its weights are prunable.
        masks: those of batch-norm scales, where a method ranks them, are listed by layer but belong
            to no density.

    Returns:
        ``mask_density``, the kept share of the prunable weights, and ``effective_density``, the
        share that is kept and on a path from input to output; how many are ``kept`` of all
        ``prunable`` ones; each ``_by_layer`` too, in the network's order, with the
        ``kind_by_layer`` (``kernel`` or ``norm_scale``); ``collapsed``: layers that keep nothing;
        ``channel_sparsity``: how many output channels have lost 0 to 1 %, ..., 99 to 100 %, and
        all of their weights.
    """
    module, prunable = task.build(), task.prunable()
    # Kernels first; a file of masks has an order of its own.
    order = [*prunable, *(name for name, _ in module.named_parameters() if name not in prunable)]
    masks = {name: masks[name] for name in order if name in masks}
    kernels = {name: masks[name] for name in prunable if name in masks}
    effective = on_a_path(module, masks, task.example())
    kept, total = masking.counts(kernels)
    collapsed = masking.empty(kernels)
    return {
        "kept": kept,
        "prunable": total,
        "mask_density": kept / total,
        "effective_density": masking.counts({n: effective[n] for n in kernels})[0] / total,
        "collapsed_layers": len(collapsed),
        "collapsed": collapsed,
        "kind_by_layer": {name: "kernel" if name in kernels else "norm_scale" for name in masks},
        "kept_by_layer": _by_layer(masks),
        "effective_by_layer": _by_layer(effective),
        "prunable_by_layer": {name: mask.numel() for name, mask in masks.items()},
        "channel_sparsity": channel_sparsity(_outputs_first(module, kernels)),
    }


def channel_sparsity(masks: Mapping[str, Tensor]) -> list[int]:
    """A histogram of the sparsity of output channels (rows of linear layers), of all layers.

    Args:
        masks: of kernels, (out, in, ...); vectors, which have no channels, are left out.

    Returns:
        :data:`BINS` bins of equal width over [0, 1), and one for channels that lost everything.
    """
    counts = torch.zeros(BINS + 1, dtype=torch.int64)
    for mask in (mask for mask in masks.values() if mask.ndim > 1):
        channels = mask.flatten(1)
        size = channels.shape[1]
        gone = size - channels.count_nonzero(1)
        counts += torch.bincount(gone * BINS // size, minlength=BINS + 1)  # integers: exact edges
    return counts.tolist()


def _outputs_first(module: nn.Module, masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    known = {name: kernel for name, _, _, kernel in named_kernels(module)}
    return {n: outputs_first(m, known[n]) if n in known else m for n, m in masks.items()}


def _by_layer(masks: Mapping[str, Tensor]) -> dict[str, int]:
    return {name: int(mask.count_nonzero()) for name, mask in masks.items()}
