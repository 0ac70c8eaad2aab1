"""What a network's forward pass costs: multiply-accumulates of convolution and linear layers.

One MAC is one multiplication with one addition; FLOP counters that count both give twice as many.
Batch norm, activations and biases are left out, as pruning does not touch them. Masked weights
count as skipped: these are theoretical costs (Renda et al. 2020, appendix on FLOPs).
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def weight_uses(module: nn.Module, example: tuple[Tensor, ...]) -> dict[str, int]:
    """How often one example uses each weight of a layer: its MACs are weights times uses.

    Args:
        module: the network.
        example: what the network takes, a batch of one.

    Returns:
        By weight name, in the order of the forward pass: height x width of the output for a
        convolution, positions (1 without a sequence) for a linear layer.
    """
    uses: dict[str, int] = {}

    def count(name: str, layer: nn.Module, output: Tensor) -> None:
        # Of the output's own size: a gated layer gives more channels than it makes.
        outputs = output.shape[1 if isinstance(layer, nn.Conv2d) else -1]
        uses[name] = uses.get(name, 0) + output.numel() // outputs

    hooks = [
        layer.register_forward_hook(
            lambda layer, _, output, name=f"{name}.weight": count(name, layer, output)
        )
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    ]
    training = module.training
    try:
        with torch.no_grad():
            module.eval()(*example)
    finally:
        module.train(training)
        for hook in hooks:
            hook.remove()
    return uses


def macs_by_layer(
    uses: Mapping[str, int], weights: Mapping[str, Tensor], masks: Mapping[str, Tensor]
) -> dict[str, int]:
    """Multiply-accumulates of one example by weight name.

    Args:
        uses: from :func:`weight_uses`.
        weights: at least the tensors named in ``uses``; only their sizes matter.
        masks: what is kept; a weight without a mask counts whole.
    """
    kept = {
        name: int(masks[name].sum()) if name in masks else weights[name].numel() for name in uses
    }
    return {name: count * kept[name] for name, count in uses.items()}


def network_macs(
    module: nn.Module, example: tuple[Tensor, ...], masks: Mapping[str, Tensor] | None = None
) -> dict[str, int]:
    """:func:`macs_by_layer` of a network on one example; dense without masks."""
    weights = dict(module.named_parameters())
    return macs_by_layer(weight_uses(module, example), weights, masks or {})


def training_macs(macs: int, examples: float) -> int:
    """MACs of training on so many examples: a backward pass is counted as two forward passes."""
    return round(3 * macs * examples)
