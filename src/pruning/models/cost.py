"""What a network's forward pass costs: multiply-accumulates with its weights.

One MAC is one multiplication with one addition; FLOP counters that count both give twice as many.
Batch norm, activations, biases and products without weights, such as attention's of queries and
keys, are left out, as pruning does not touch them. Masked weights count as skipped: these are
theoretical costs (Renda et al. 2020, appendix on FLOPs).
"""

import operator
from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from pruning.models.layers import Uses
from pruning.models.uses import trace


def weight_uses(module: nn.Module, example: tuple[Tensor, ...]) -> dict[str, Uses]:
    """How often one example uses each weight of a layer: its MACs are weights times uses.

    Args:
        module: the network.
        example: what the network takes, a batch of one.

    Returns:
        By weight name, in the order of the forward pass: places of the output for a convolution, of
        the input for a transposed one, positions (1 without a sequence) for a linear layer and for
        projections of attention, time steps for a recurrent layer, 0 for an embedding, whose rows
        are picked. A tensor where one part of a weight is used more often than another.

    Raises:
        PruningError: the network cannot run on the example.
    """
    return dict(trace(module, example).uses)


def macs_by_layer(
    uses: Mapping[str, Uses], weights: Mapping[str, Tensor], masks: Mapping[str, Tensor]
) -> dict[str, int]:
    """Multiply-accumulates of one example by weight name.

    Args:
        uses: from :func:`weight_uses`.
        weights: at least the tensors named in ``uses``; only their sizes matter.
        masks: what is kept; a weight without a mask counts whole.
    """
    return {name: _total(count, weights[name], masks.get(name)) for name, count in uses.items()}


def network_macs(
    module: nn.Module, example: tuple[Tensor, ...], masks: Mapping[str, Tensor] | None = None
) -> dict[str, int]:
    """:func:`macs_by_layer` of a network on one example; dense without masks."""
    uses = weight_uses(module, example)
    return macs_by_layer(uses, _weights(module, uses), masks or {})


def _total(uses: Uses, weight: Tensor, mask: Tensor | None) -> int:
    if isinstance(uses, Tensor):
        whole = uses.expand(weight.shape)
        return int((whole if mask is None else whole[mask.cpu()]).sum())
    return uses * (weight.numel() if mask is None else int(mask.sum()))


def _weights(module: nn.Module, names: Iterable[str]) -> dict[str, Tensor]:
    """Weights by name, also those that are made of other parameters when they are asked for."""
    named = dict(module.named_parameters())
    return {
        name: named[name] if name in named else operator.attrgetter(name)(module) for name in names
    }


def training_macs(macs: int, examples: float) -> int:
    """MACs of training on so many examples: a backward pass is counted as two forward passes."""
    return round(3 * macs * examples)
