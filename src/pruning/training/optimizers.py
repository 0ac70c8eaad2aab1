"""Optimizers by name, from torch.optim, with weight decay by parameter kind."""

from collections.abc import Collection
from typing import Any

import torch
from torch import nn

from pruning import registry
from pruning.errors import PruningError
from pruning.models import layers
from pruning.option_types import BelowOne, Positive
from pruning.training.recipe import OptimizerConfig

WEIGHT_DECAY_EXCLUSIONS = ("bias", "norm")


def make(
    config: OptimizerConfig, module: nn.Module, prunable: Collection[str] | None = None
) -> torch.optim.Optimizer:
    """The optimizer over what a module trains; the learning rate is set before each step.

    Parameters that require no gradient are left out: weight decay must not move them either.

    Besides torch's own keys, a parameter group says its ``relative_rate``, what the learning rate
    is multiplied by, and whether its weights are ``ranked`` by an optimizer that prunes.

    Args:
        config: which optimizer.
        module: the network.
        prunable: names of the weights that are pruned; all kernels without it.

    Raises:
        PruningError: unknown optimizer or option, or nothing to train.
    """
    factory = registry.find("optimizer", config.name)
    if prunable is None:
        prunable = {name for name, _, _, _ in layers.named_kernels(module)}
    options = registry.checked_options("optimizer", config.name, config.options, "options")
    groups: dict[tuple[float, float, bool], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        decay = 0.0 if _kind(module, name) in config.decay_exclude else config.weight_decay
        rate = config.bias_rate if _is_bias(module, name) else 1.0
        groups.setdefault((decay, rate, name in prunable), []).append(parameter)
    if not groups:
        raise PruningError("No parameter of the network requires a gradient: nothing is trained.")
    settings = ("weight_decay", "relative_rate", "ranked")
    try:
        return factory(
            [
                {"params": parameters, **dict(zip(settings, values, strict=True))}
                for values, parameters in groups.items()
            ],
            **options,
        )
    except (TypeError, ValueError) as error:
        raise PruningError(
            f"Optimizer {config.name!r} does not take its options: {error}."
        ) from None


def _kind(module: nn.Module, parameter: str) -> str:
    if isinstance(module.get_submodule(parameter.rpartition(".")[0]), layers.NORMS):
        return "norm"
    return "bias" if _is_bias(module, parameter) else "weight"


def _is_bias(module: nn.Module, parameter: str) -> bool:
    owner, _, attribute = parameter.rpartition(".")
    return attribute in layers.biases(module.get_submodule(owner))


def let_join(optimizer: torch.optim.Optimizer) -> None:
    """Give parameters that get their first gradient later than others a momentum of zero.

    SGD's one kernel for all tensors takes either a momentum of each or none.
    """
    for group in optimizer.param_groups:
        if not group.get("momentum"):
            continue
        known = [p for p in group["params"] if "momentum_buffer" in optimizer.state.get(p, ())]
        if not known:
            continue
        for parameter in group["params"]:
            state = optimizer.state[parameter] if parameter.grad is not None else None
            if state is not None and state.get("momentum_buffer") is None:
                state["momentum_buffer"] = torch.zeros_like(parameter)


def sgd(
    groups: list[dict[str, Any]],
    *,
    momentum: BelowOne = 0.0,
    dampening: BelowOne = 0.0,
    nesterov: bool = False,
    maximize: bool = False,
) -> torch.optim.Optimizer:
    """SGD with momentum; one fused kernel for all tensors."""
    return torch.optim.SGD(
        groups,
        lr=0.0,
        momentum=momentum,
        dampening=dampening,
        nesterov=nesterov,
        maximize=maximize,
        fused=True,
    )


def adam(
    groups: list[dict[str, Any]],
    *,
    betas: tuple[BelowOne, BelowOne] = (0.9, 0.999),
    eps: Positive = 1e-8,
    amsgrad: bool = False,
    maximize: bool = False,
    decoupled_weight_decay: bool = False,
) -> torch.optim.Optimizer:
    """Adam; one fused kernel for all tensors.

    ``eps`` is added to sqrt(v / (1 - b2^t)), as in Kingma & Ba (2015), algorithm 1. TensorFlow 1
    adds it to sqrt(v) itself, which is eps / sqrt(1 - b2^t) here: 32 times as much in the first
    step, 2.3 times in step 200 and the same in the end. At eps 1e-8 that matters to weights whose
    gradients are of 1e-6 or less (a tenth of the update in step 10, a hundredth in step 200, if
    they are normally distributed). Where eight gradients of norm 5 are added up over 2e8 weights,
    they are of 1e-3 (if the eight are unrelated) to 2.8e-3 (if they agree), and the update differs
    by 1 % in step 1, as some are near zero, by 1e-4 in step 10 and by 1e-5 in step 200.
    """
    return torch.optim.Adam(
        groups,
        lr=0.0,
        betas=tuple(betas),
        eps=eps,
        amsgrad=amsgrad,
        maximize=maximize,
        decoupled_weight_decay=decoupled_weight_decay,
        fused=True,
    )
