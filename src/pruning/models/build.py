"""From a network's configuration to a module with freshly drawn weights."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from pruning import registry
from pruning.errors import PruningError
from pruning.models.config import NetworkConfig
from pruning.seeds import generator

# What layers hold of their own that is drawn or loaded after building, whatever it was before.
_SET_LATER = {
    nn.Conv2d: {"weight", "bias"},
    nn.Linear: {"weight", "bias"},
    nn.modules.batchnorm._NormBase: {
        "weight", "bias", "running_mean", "running_var", "num_batches_tracked"
    },
}  # fmt: skip


def build(
    config: NetworkConfig, shape: tuple[int, int, int], classes: int, seed: int | None
) -> nn.Module:
    """Build a network on the CPU.

    It is what its author wrote: weights that are tied stay so, and what the initialization does not
    set, such as a table of positions, has the values that its author gives it.

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
        module = _made(lambda: factory(shape, classes, **config.options), seed)
    except (TypeError, ValueError, IndexError, RuntimeError) as error:
        raise PruningError(
            f"Network {config.name!r} cannot be built with the options {config.options} on images "
            f"of shape {shape}: {error}."
        ) from error
    if seed is not None:
        registry.find("initialization", config.initialization)(module, seed)
    return module


def _made(factory: Callable[[], nn.Module], seed: int | None) -> nn.Module:
    """The module on the CPU, without a draw from the global generator that anyone could notice.

    Most networks are all drawn or loaded later: they are built without memory first, which saves
    drawing their weights twice. That would untie weights and lose other values, so networks that
    have any are built again as they are written.
    """
    with torch.device("meta"):
        module = factory()
    if _is_set_later(module):
        return module.to_empty(device="cpu")
    return constructed(factory, seed)


def constructed(factory: Callable[[], nn.Module], seed: int | None) -> nn.Module:
    """A module as its author writes it, drawn from the seed; the global generator is as before."""
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.set_rng_state(generator(seed or 0, "construction").get_state())
        return factory()


def _is_set_later(module: nn.Module) -> bool:
    """Whether nothing is lost if all tensors lose their values and become tensors of their own."""
    named = [*module.named_parameters(remove_duplicate=False)]
    named += module.named_buffers(remove_duplicate=False)
    tied = len({id(tensor) for _, tensor in named}) < len(named)
    return not tied and all(_own(layer) <= _expected(layer) for layer in module.modules())


def _own(layer: nn.Module) -> set[str]:
    """Names of a layer's own tensors, also of those that are no parameters and no buffers."""
    groups: tuple[dict[str, Any], ...] = (layer._parameters, layer._buffers, vars(layer))
    return {
        name for group in groups for name, value in group.items() if isinstance(value, torch.Tensor)
    }


def _expected(layer: nn.Module) -> set[str]:
    return {name for kind, names in _SET_LATER.items() if isinstance(layer, kind) for name in names}


def prunable_names(module: nn.Module, exempt: tuple[str, ...] = ()) -> list[str]:
    """Names of the prunable weights: kernels of convolution and linear layers, in module order.

    A kernel that layers share is one weight, of the first name that it has; one that is first of a
    layer of another kind, like an embedding, is not prunable.

    Args:
        module: the network.
        exempt: layer names ("fc", "conv1") whose kernels are never pruned, nor where they share
            them with other layers.

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
    own = _own_names(module)
    kept = {own.get(f"{layer}.weight", f"{layer}.weight") for layer in exempt}
    names = (f"{layer}.weight" for layer in layers)
    return [name for name in names if own.get(name, name) == name and name not in kept]


def _own_names(module: nn.Module) -> dict[str, str]:
    """By each name of a parameter, the first one, by which states know it."""
    first = {id(parameter): name for name, parameter in module.named_parameters()}
    every = module.named_parameters(remove_duplicate=False)
    return {name: first[id(parameter)] for name, parameter in every}


def norm_scale_names(module: nn.Module) -> list[str]:
    """Names of the batch-norm scales (gamma), in module order."""
    return [
        f"{name}.weight"
        for name, layer in module.named_modules()
        if isinstance(layer, nn.modules.batchnorm._NormBase) and layer.affine
    ]
