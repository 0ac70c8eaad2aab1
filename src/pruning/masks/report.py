"""What masks leave of a network: counts, costs, paths, and how its output channels fared."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pruning.masks import mask as masking
from pruning.masks.weights import Pruned
from pruning.models.cost import network_macs
from pruning.models.paths import on_a_path
from pruning.training.task import Task

BINS = 100  # of channel sparsity; what lost everything is counted apart


def report(task: Task, pruned: Pruned) -> dict[str, Any]:
    """Plain values that describe a pruning.

    Args:
        task: the network, and which of its weights are prunable.
        pruned: masks; those of batch-norm scales, where a method ranks them, are listed by layer
            but belong to no density.

    Returns:
        ``density`` as the method counts it, ``mask_density`` the kept share of the prunable weights
        and ``effective_density`` the share that is kept and on a path from input to output; how
        many are ``kept`` of all ``prunable`` ones; each ``_by_layer`` too; ``collapsed``: layers
        that keep nothing; ``channel_sparsity``: how many output channels have lost 0 to 1 %, ...,
        99 to 100 %, and all of their weights; ``macs`` of one example.
    """
    module = task.build()
    kernels = {name: pruned.masks[name] for name in task.prunable() if name in pruned.masks}
    effective = on_a_path(module, pruned.masks, task.example())
    macs = network_macs(module, task.example(), pruned.remaining)
    kept, total = masking.counts(kernels)
    collapsed = masking.empty(kernels)
    return {
        "kept": kept,
        "prunable": total,
        "density": pruned.density,
        "mask_density": kept / total,
        "effective_density": masking.counts({n: effective[n] for n in kernels})[0] / total,
        "collapsed_layers": len(collapsed),
        "collapsed": collapsed,
        "macs": sum(macs.values()),
        "kept_by_layer": _by_layer(pruned.masks),
        "effective_by_layer": _by_layer(effective),
        "prunable_by_layer": {name: mask.numel() for name, mask in pruned.masks.items()},
        "channel_sparsity": channel_sparsity(kernels),
        "macs_by_layer": macs,
    }


def channel_sparsity(masks: Mapping[str, Tensor]) -> list[int]:
    """A histogram of the sparsity of output channels (rows of linear layers), of all layers.

    Args:
        masks: of kernels, (out, in, ...).

    Returns:
        :data:`BINS` bins of equal width over [0, 1), and one for channels that lost everything.
    """
    counts = torch.zeros(BINS + 1, dtype=torch.int64)
    for mask in masks.values():
        channels = mask.flatten(1)
        size = channels.shape[1]
        gone = size - channels.count_nonzero(1)
        counts += torch.bincount(gone * BINS // size, minlength=BINS + 1)  # integers: exact edges
    return counts.tolist()


def _by_layer(masks: Mapping[str, Tensor]) -> dict[str, int]:
    return {name: int(mask.count_nonzero()) for name, mask in masks.items()}
