"""Networks whose filters are gone, without them: fewer channels instead of zeros.

A filter that is masked gives a constant: its bias, or what batch norm and an activation make of
zero. What that constant gives to the layers that read it is constant too, at every place of an
image, so it is added to their outputs and the channel is left out. The logits stay what they were.
"""

import copy
import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from pruning.deploy.trained import TrainedNetwork
from pruning.errors import PruningError
from pruning.models.channels import DEPTHWISE, WEIGHT, Channels, Layer, follow
from pruning.models.shape import cuts
from pruning.training.network import network_of

log = logging.getLogger("pruning")


def narrowed(network: TrainedNetwork) -> TrainedNetwork:
    """The network without the channels whose filters its masks take whole.

    Only where masks are of whole filters: else it is returned as it is, and so it is where its
    channels cannot be followed, which the log says.
    """
    if not _of_whole_filters(network.state.masks):
        return network
    try:
        channels = follow(copy.deepcopy(network.module), network.task.example())
        seen = _read(network, channels)
        gone = _gone(channels, network.state.masks, seen)
        if not gone:
            return network
        layers = dict(network.module.named_modules())
        shifts = {
            layer.name: _shift(layers[layer.name], layer, seen[layer.name], gone)
            for layer in _readers(channels)
            if gone.intersection(layer.inputs)
        }
        kept = {c for layer in channels.layers.values() for c in (*layer.source, *layer.target)}
        state = network.state.cut(cuts(channels, kept - gone))
        module = network_of(network.task, state).eval()
    except PruningError as error:
        log.warning("%s: its filters stay as zeros: %s", network.name, error)
        return network
    for name, shift in shifts.items():
        layer = module.get_submodule(name)
        layer.register_buffer("of_filters_that_are_gone", shift)
        layer.register_forward_hook(_add)
    return replace(network, state=state, module=module, whole=network, left_out=len(gone))


def _add(layer: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> Tensor:
    return made + layer.of_filters_that_are_gone


def _of_whole_filters(masks: Mapping[str, Tensor]) -> bool:
    rows = [mask.flatten(1) for mask in masks.values() if mask.dim() > 1]
    return any(not row.any(1).all() for row in rows) and all(
        torch.equal(row.any(1), row.all(1)) for row in rows
    )


def _readers(channels: Channels) -> list[Layer]:
    return [layer for layer in channels.layers.values() if layer.kind == WEIGHT]


def _read(network: TrainedNetwork, channels: Channels) -> dict[str, Tensor]:
    """What every layer that mixes channels is given for two examples, channels last."""
    module, seen = copy.deepcopy(network.module), {}

    def see(layer: nn.Module, given: tuple[Tensor, ...], name: str) -> None:
        if name in seen:
            raise PruningError(f"{name} is used more than once.")
        seen[name] = given[0].movedim(_axis(layer, given[0]), -1)

    for layer in _readers(channels):
        module.get_submodule(layer.name).register_forward_pre_hook(partial(see, name=layer.name))
    with torch.no_grad():
        module(*network.inputs(2))
    return seen


def _axis(layer: nn.Module, tensor: Tensor) -> int:
    """Where its channels are."""
    return tensor.dim() - 1 if isinstance(layer, nn.Linear) else 1


def _gone(channels: Channels, masks: Mapping[str, Tensor], seen: Mapping[str, Tensor]) -> set[int]:
    """Numbers of the channels that only masked filters make, or that a masked depthwise filter
    ends; one of every layer stays."""
    found = {
        channel
        for channel, makers in channels.makers().items()
        if all(_is_masked(masks, name, index) for name, index in makers)
    }
    for layer in channels.layers.values():
        if layer.kind == DEPTHWISE:
            ended = enumerate(layer.outputs)
            found |= {channel for index, channel in ended if _is_masked(masks, layer.name, index)}
    found -= channels.fixed
    for layer in _readers(channels):
        first, second = seen[layer.name]
        if first.shape[-1] != len(layer.inputs):
            found -= set(layer.inputs)
            continue
        same = (first == second).flatten(0, -2).all(0) if first.dim() > 1 else first == second
        found -= {
            c for c, constant in zip(layer.inputs, same.tolist(), strict=True) if not constant
        }
    for layer in channels.layers.values():
        for side in (layer.outputs, layer.inputs):
            if side and found.issuperset(side):
                found.discard(side[0])
    return found


def _is_masked(masks: Mapping[str, Tensor], name: str, index: int) -> bool:
    mask = masks.get(f"{name}.weight")
    return mask is not None and not mask[index].any()


@torch.no_grad()
def _shift(module: nn.Module, layer: Layer, seen: Tensor, gone: set[int]) -> Tensor:
    """What channels that go add to the outputs of a layer that reads them, (1, ...)."""
    which = torch.tensor([channel in gone for channel in layer.inputs])
    axis = _axis(module, seen)
    only = torch.where(which, seen[:1], 0).movedim(-1, axis).double()
    module = copy.deepcopy(module).double()
    shift = module(only) - module(torch.zeros_like(only))  # of the weights alone, without bias
    stays = [place for place, channel in enumerate(layer.outputs) if channel not in gone]
    return shift.to(seen.dtype).index_select(axis, torch.tensor(stays))
