"""Networks that are handed over as modules or functions instead of by name: what a notebook has."""

import copy
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.utils.prune import is_pruned

from pruning.errors import PruningError
from pruning.models.build import constructed

Factory = Callable[[tuple[int, int, int], int], nn.Module]


def build_own(
    network: nn.Module | Factory, shape: tuple[int, int, int], classes: int, seed: int | None
) -> nn.Module:
    """A module on the CPU, which shares nothing with any other.

    Args:
        network: a module, which is copied with its weights; or a function from shape (C, H, W) and
            number of classes to a new one.
        shape, classes: of the data.
        seed: for what the function draws; None where a state is loaded next.

    Raises:
        PruningError: fresh weights are asked for of a module, which cannot be drawn anew.
    """
    if not isinstance(network, nn.Module):
        return constructed(lambda: network(shape, classes), seed).cpu()
    if seed is not None:
        raise PruningError(
            "This needs a network with freshly drawn weights, and the task has a module, whose own "
            "are the only ones there are. Give the task a function that makes such modules: "
            "`pruning.Task(data, lambda shape, classes: ..., recipe)`."
        )
    return copied(network)


def copied(module: nn.Module) -> nn.Module:
    """A copy on the CPU.

    Raises:
        PruningError: it cannot be copied, or its weights are computed from others.
    """
    if is_pruned(module):
        raise PruningError(
            "torch.nn.utils.prune is at work in the module. Keep its masks (the buffers "
            "`..._mask`), which are masks here too, and make its weights plain ones again: "
            "`torch.nn.utils.prune.remove(layer, 'weight')` for each layer."
        )
    try:
        return copy.deepcopy(module).cpu()
    except RuntimeError as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise PruningError(
            f"The module cannot be copied ({reason}). Give the task a function that makes it."
        ) from None


def check_own(network: Any, shape: tuple[int, int, int], classes: int) -> None:
    """Refuse what is no network for these data, before anything is trained.

    Args:
        network: what the user has given.
        shape, classes: of the data.

    Raises:
        PruningError: neither module nor function of shape and classes, weights of another type than
            float32, a function whose weights do not follow from torch's generator, or outputs that
            are not one logit for each class.
    """
    module = copied(network) if isinstance(network, nn.Module) else _made(network, shape, classes)
    for name, tensor in module.state_dict().items():
        if isinstance(tensor, torch.Tensor) and tensor.is_floating_point():
            kind = str(tensor.dtype).removeprefix("torch.")
            if tensor.dtype != torch.float32:
                raise PruningError(
                    f"{name} of the network is {kind}; networks train in float32 here: "
                    "`module.float()`."
                )
    module.eval()
    image = f"(1, {', '.join(map(str, shape))})"
    try:
        with torch.no_grad():
            logits = module(torch.ones(1, *shape))
    except (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise PruningError(f"The network does not take an image {image}: {reason}.") from error
    found = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
    if found != (1, classes):
        raise PruningError(
            f"The network makes {found} of an image {image}, where it has to give one logit for "
            f"each of {classes} classes, (1, {classes})."
        )


def _made(network: Any, shape: tuple[int, int, int], classes: int) -> nn.Module:
    if not callable(network):
        hint = f": `pruning.NetworkConfig({network!r})`" if isinstance(network, str) else ""
        raise PruningError(
            f"A task's network is a NetworkConfig{hint}, a module, or a function from shape and "
            f"number of classes to one; this is a {type(network).__name__}."
        )
    try:
        inspect.signature(network).bind(shape, classes)
    except TypeError as error:
        raise PruningError(
            f"The function that makes the network cannot be called with a shape and a number of "
            f"classes ({error}): `lambda shape, classes: ...` around it can."
        ) from None
    made = [constructed(lambda: network(shape, classes), seed) for seed in (0, 0, 1)]
    for module in made:
        if not isinstance(module, nn.Module):
            raise PruningError(
                f"The function that makes the network gives a {type(module).__name__}, no module."
            )
    first, again, other = made
    shared = {id(tensor) for tensor in first.parameters()}
    if any(id(tensor) in shared for tensor in other.parameters()) or _alike(first, other):
        raise PruningError(
            "The function that makes the network gives the same weights whatever the seed, so none "
            "would be fresh. Make a new module in it, and let torch draw its weights; or give the "
            "task the module itself."
        )
    if not _alike(first, again):
        raise PruningError(
            "The function that makes the network gives other weights each time, whatever the seed. "
            "Draw them by torch, from its global generator alone."
        )
    return first.cpu()


def _alike(first: nn.Module, second: nn.Module) -> bool:
    """Whether two modules have equal weights."""
    pairs = zip(first.parameters(), second.parameters(), strict=False)
    return all(torch.equal(one, other) for one, other in pairs)
