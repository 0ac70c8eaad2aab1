"""Networks that are handed over as modules or functions instead of by name: what a notebook has."""

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.utils.prune import is_pruned

from pruning.errors import PruningError
from pruning.models.build import constructed, refuse_changing

# From what a network takes and makes, as of :func:`pruning.models.build.build`, to a new one.
Factory = Callable[[Any, int], nn.Module]


@dataclass(frozen=True)
class Wanted:
    """What a network of a task has to be.

    Attributes:
        takes, makes: as of :func:`pruning.models.build.build`.
        example: one example as its arguments.
        what: the example, for messages: "an image (1, 3, 32, 32)".
        arguments: what a function that makes networks is called with: "shape, classes".
        check: refuses what a network gave for the example, in evaluation mode.
    """

    takes: Any
    makes: int
    example: tuple[torch.Tensor, ...]
    what: str
    arguments: str
    check: Callable[[Any], None]


def build_own(network: nn.Module | Factory, takes: Any, makes: int, seed: int | None) -> nn.Module:
    """A module on the CPU, which shares nothing with any other.

    Args:
        network: a module, which is copied with its weights; or a function that makes a new one.
        takes, makes: as of :func:`pruning.models.build.build`.
        seed: for what the function draws; None where a state is loaded next.

    Raises:
        PruningError: fresh weights are asked for of a module, which cannot be drawn anew.
    """
    if not isinstance(network, nn.Module):
        return constructed(lambda: network(takes, makes), seed).cpu()
    if seed is not None:
        raise PruningError(
            "This needs a network with freshly drawn weights, and the task has a module, whose own "
            "are the only ones there are. Give the task a function that makes such modules: for "
            "images `pruning.Task(data, lambda shape, classes: ..., recipe)`."
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


def check_own(network: Any, wanted: Wanted) -> None:
    """Refuse what is no network for a task, before anything is trained.

    Args:
        network: what the user has given.
        wanted: of the task.

    Raises:
        PruningError: neither module nor function, weights of another type than float32, a function
            whose weights do not follow from torch's generator, or what ``wanted`` refuses.
    """
    module = copied(network) if isinstance(network, nn.Module) else _made(network, wanted)
    for name, tensor in module.state_dict().items():
        if isinstance(tensor, torch.Tensor) and tensor.is_floating_point():
            kind = str(tensor.dtype).removeprefix("torch.")
            if tensor.dtype != torch.float32:
                raise PruningError(
                    f"{name} of the network is {kind}; networks train in float32 here: "
                    "`module.float()`."
                )
    module.eval()
    try:
        with torch.no_grad():
            made = module(*wanted.example)
    except (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise PruningError(f"The network does not take {wanted.what}: {reason}.") from error
    wanted.check(made)
    if not isinstance(network, nn.Module):
        refuse_changing(
            lambda: constructed(lambda: network(wanted.takes, wanted.makes), 0).cpu(),
            wanted.example,
        )


def _made(network: Any, wanted: Wanted) -> nn.Module:
    if not callable(network):
        hint = f": `pruning.NetworkConfig({network!r})`" if isinstance(network, str) else ""
        raise PruningError(
            f"A task's network is a NetworkConfig{hint}, a module, or a function "
            f"`lambda {wanted.arguments}: ...` that makes one; this is a {type(network).__name__}."
        )
    try:
        inspect.signature(network).bind(wanted.takes, wanted.makes)
    except TypeError as error:
        raise PruningError(
            f"The function that makes the network cannot be called with ({wanted.arguments}) "
            f"({error}): `lambda {wanted.arguments}: ...` around it can."
        ) from None
    made = [constructed(lambda: network(wanted.takes, wanted.makes), seed) for seed in (0, 0, 1)]
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
