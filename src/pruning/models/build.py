"""From a network's configuration to a module with freshly drawn weights."""

import inspect

import torch
from torch import nn

from pruning import registry
from pruning.errors import PruningError
from pruning.models.config import NetworkConfig


def build(
    config: NetworkConfig, shape: tuple[int, int, int], classes: int, seed: int | None
) -> nn.Module:
    """Build a network on the CPU.

    Args:
        config: which network.
        shape: (C, H, W) of the input images.
        classes: number of outputs.
        seed: draws the weights; ``None`` leaves them unset, for a state that is loaded next.

    Raises:
        PruningError: unknown name, option or initialization, or a shape the network cannot take.
    """
    factory = registry.find("network", config.name)
    allowed = list(inspect.signature(factory).parameters)[2:]
    for option in config.options:
        if option not in allowed:
            raise PruningError(
                f"Network {config.name!r} has no option {option!r}. "
                f"Its options: {', '.join(allowed) or 'none'}."
            )
    try:
        with torch.device("meta"):  # allocate nothing, draw nothing from the global generator
            module = factory(shape, classes, **config.options)
    except (TypeError, ValueError, IndexError, RuntimeError) as error:
        raise PruningError(
            f"Network {config.name!r} cannot be built with the options {config.options} on images "
            f"of shape {shape}: {error}."
        ) from error
    module.to_empty(device="cpu")
    if seed is not None:
        registry.find("initialization", config.initialization)(module, seed)
    return module


def prunable_names(module: nn.Module, exempt: tuple[str, ...] = ()) -> list[str]:
    """Names of the prunable weights: kernels of convolution and linear layers, in module order.

    Args:
        module: the network.
        exempt: layer names ("fc", "conv1") whose kernels are never pruned.

    Raises:
        PruningError: an exempt name that is no convolution or linear layer.
    """
    layers = [n for n, m in module.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    for name in exempt:
        if name not in layers:
            raise PruningError(
                f"Exempt layer {name!r} is no convolution or linear layer of this network. "
                f"Its layers: {', '.join(layers)}."
            )
    return [f"{layer}.weight" for layer in layers if layer not in exempt]


def norm_scale_names(module: nn.Module) -> list[str]:
    """Names of the batch-norm scales (gamma), in module order."""
    return [
        f"{name}.weight"
        for name, layer in module.named_modules()
        if isinstance(layer, nn.modules.batchnorm._NormBase) and layer.affine
    ]
