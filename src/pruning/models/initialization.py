"""Initial weights. Each tensor draws from its own generator, derived from (seed, tensor name)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pruning.seeds import generator

# Standard deviation of a unit normal truncated at two standard deviations.
TRUNCATED_STD = 0.87962566103423978


def fan_in_truncated_normal(module: nn.Module, seed: int) -> None:
    """Renda et al. 2020 (reference, section 4): convolutions from a truncated normal of variance
    1/fan_in (not He's 2/fan_in), linear weights from N(0, 0.01^2), biases 0, BN gamma 1, beta 0.
    """

    def draw(layer: nn.Module, weight: Tensor, source: torch.Generator) -> None:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(weight, std=0.01, generator=source)
            return
        std = _fan_in(weight) ** -0.5 / TRUNCATED_STD
        nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std, generator=source)

    _initialize(module, seed, draw)


def kaiming_normal(module: nn.Module, seed: int) -> None:
    """He et al. 2015: kernels from N(0, 2/fan_in), biases 0, BN gamma 1, beta 0."""
    _initialize(
        module,
        seed,
        lambda _, weight, source: nn.init.kaiming_normal_(
            weight, nonlinearity="relu", generator=source
        ),
    )


def xavier_uniform(module: nn.Module, seed: int) -> None:
    """Glorot & Bengio 2010: kernels uniform with variance 2/(fan_in + fan_out), biases 0."""
    _initialize(
        module,
        seed,
        lambda _, weight, source: nn.init.xavier_uniform_(weight, generator=source),
    )


def _initialize(
    module: nn.Module, seed: int, draw: Callable[[nn.Module, Tensor, torch.Generator], object]
) -> None:
    with torch.no_grad():
        for layer_name, layer in module.named_modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                draw(layer, layer.weight, generator(seed, "initialization", layer_name))
                if layer.bias is not None:
                    layer.bias.zero_()
            elif isinstance(layer, nn.BatchNorm2d):
                layer.reset_parameters()  # gamma 1, beta 0, running mean 0, variance 1
            elif any(True for _ in layer.parameters(recurse=False)):
                raise NotImplementedError(f"no initialization for {type(layer).__name__}")


def _fan_in(weight: Tensor) -> int:
    return weight[0].numel()
