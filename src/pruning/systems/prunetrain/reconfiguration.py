"""Which channels have died, and what goes with them: sections 1.3 to 1.5 of the reference.

A channel may go if it is sparse in every layer that makes it and in every layer that reads it, as
batch norm turns a map of zeros into its shift, which a layer that still listens would miss.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from pruning.models.channels import DEPTHWISE, NORM, WEIGHT, Branch, Channels
from pruning.models.shape import Cuts, Gate, cuts


@dataclass(frozen=True)
class Sizes:
    """The largest |w| of every channel of every layer.

    Attributes:
        outputs: by layer, (K,).
        inputs: by layer, (C,).
    """

    outputs: Mapping[str, Tensor]
    inputs: Mapping[str, Tensor]

    def share(self, side: str, threshold: float, built: Mapping[str, int]) -> float:
        """Mean over layers of the share of channels that reach the threshold.

        Args:
            side: ``outputs`` or ``inputs``.
            threshold: in |w|.
            built: how many channels each layer had as built; one that is gone reaches it in none.
        """
        dense = {name: int((s >= threshold).sum()) for name, s in getattr(self, side).items()}
        return sum(dense.get(name, 0) / count for name, count in built.items()) / len(built)


@dataclass(frozen=True)
class Reconfiguration:
    """What one reconfiguration does.

    Attributes:
        cuts: of the network's shape.
        channels: how many channels go.
        branches: bodies of residual blocks that go.
        constants: what each of these gave, by its last module, one number per channel; whether or
            not it is kept.
    """

    cuts: Cuts
    channels: int = 0
    branches: tuple[Branch, ...] = ()
    constants: Mapping[str, Tensor] = field(default_factory=dict)


def pair_sizes(weight: Tensor) -> Tensor:
    """(K, C): the largest |w| between each output and each input channel of a weight."""
    return weight.abs().flatten(2).amax(2) if weight.ndim > 2 else weight.abs()


@torch.no_grad()
def sizes_of(module: nn.Module, channels: Channels) -> Sizes:
    """The largest |w|, not the largest w, of every channel that layers mix."""
    outputs, inputs = {}, {}
    for name, layer in channels.layers.items():
        if layer.kind == WEIGHT:
            size = pair_sizes(module.get_submodule(name).weight)
            outputs[name], inputs[name] = size.amax(1).cpu(), size.amax(0).cpu()
    return Sizes(outputs, inputs)


def reconfigure(
    module: nn.Module,
    channels: Channels,
    threshold: float,
    *,
    gated: bool = False,
    folded: bool = False,
) -> Reconfiguration:
    """Decide what can be cut out of a network.

    Args:
        module: the network.
        channels: of it.
        threshold: a channel of a layer is sparse where all its |w| are below.
        gated, folded: see :class:`pruning.systems.prunetrain.rules.Method`.
    """
    sizes = sizes_of(module, channels)
    removed: tuple[Branch, ...] = ()
    while True:  # without a branch, channels that it alone kept may go too
        kept = _kept(channels, sizes, threshold, removed, both=gated and not channels.branches)
        gates = _gates(channels, sizes, threshold, kept, removed) if gated else []
        closed = [gate.branch for gate in gates if not (gate.reads and gate.writes)]
        dead = [b for b in channels.branches if b in removed or _is_dead(b, kept) or b in closed]
        if len(dead) == len(removed):
            break
        removed = tuple(dead)
    kept |= _largest_of_empty(channels, sizes, kept, removed)
    silent = {name for name, size in sizes.outputs.items() if size.max() < threshold}
    constants = {b.modules[-1]: _constant(module, channels, b, kept, silent) for b in removed}
    change = cuts(
        channels, kept, gates=gates, without=removed, constants=constants if folded else None
    )
    mixed = {c for layer in channels.layers.values() if layer.kind == WEIGHT for c in layer.outputs}
    return Reconfiguration(change, len(mixed - kept), removed, constants)


def _kept(
    channels: Channels, sizes: Sizes, threshold: float, removed: Iterable[Branch], both: bool
) -> set[int]:
    """Channels that are dense anywhere, or with ``both``, wherever they are made and read."""
    gone = {name for branch in removed for name in branch.modules}
    made, read = set(), set()
    for name, layer in channels.layers.items():
        if layer.kind != WEIGHT or name in gone:
            continue
        for side, found in (("outputs", made), ("inputs", read)):
            found |= _dense_channels(getattr(layer, side), getattr(sizes, side)[name], threshold)
    return set(channels.fixed) | (made & read if both else made | read)


def _is_dead(branch: Branch, kept: set[int]) -> bool:
    """Whether no signal passes a body: nothing is left between some two of its layers."""
    return any(not kept.intersection(made) for made in branch.inside.values())


def _gates(
    channels: Channels, sizes: Sizes, threshold: float, kept: set[int], removed: Iterable[Branch]
) -> list[Gate]:
    gates = []
    for branch in channels.branches:
        if branch in removed:
            continue
        first, last = branch.modules[0], branch.tail(channels)[0]
        reads = _dense_channels(channels.layers[first].inputs, sizes.inputs[first], threshold)
        writes = _dense_channels(channels.layers[last].outputs, sizes.outputs[last], threshold)
        gates.append(Gate(branch, reads & kept, writes & kept))
    return gates


def _dense_channels(channels: tuple[int, ...], sizes: Tensor, threshold: float) -> set[int]:
    reached = (sizes >= threshold).tolist()
    return {c for c, is_dense in zip(channels, reached, strict=True) if is_dense}


def _largest_of_empty(
    channels: Channels, sizes: Sizes, kept: set[int], removed: Iterable[Branch]
) -> set[int]:
    """The largest channel of each space that would lose all: a network stays connected."""
    gone = {c for branch in removed for made in branch.inside.values() for c in made}
    largest: dict[int, float] = {}
    for side in ("outputs", "inputs"):
        for name, found in getattr(sizes, side).items():
            numbers = getattr(channels.layers[name], side)
            for channel, size in zip(numbers, found.tolist(), strict=True):
                largest[channel] = max(size, largest.get(channel, 0.0))
    empty = [s for s in channels.spaces() if not kept.intersection(s) and not gone.intersection(s)]
    return {max(space, key=lambda channel: largest[channel]) for space in empty}


@torch.no_grad()
def _constant(
    module: nn.Module, channels: Channels, branch: Branch, kept: set[int], silent: set[str]
) -> Tensor:
    """What a body without signal gives for each channel that the tensor after it keeps.

    In evaluation mode, and away from an image's edges: there, padding may differ. ``silent`` are
    layers that make nothing but their biases.
    """
    value: Tensor | None = None
    for step in branch.steps:
        if step in silent:
            layer = module.get_submodule(step)
            nothing = layer.weight.new_zeros(len(layer.weight))
            value = (nothing if layer.bias is None else layer.bias).cpu()
        elif value is not None:
            value = _passed(module, channels, step, value)
    last = channels.layers[branch.modules[-1]]
    given = dict(zip(last.outputs, value.tolist(), strict=True))
    return torch.tensor([given.get(channel, 0.0) for channel in last.target if channel in kept])


def _passed(module: nn.Module, channels: Channels, step: object, value: Tensor) -> Tensor:
    """The constant after one step of a body, from the one before it."""
    if not isinstance(step, str):
        return step(value.view(1, -1, 1, 1)).flatten()
    layer, told = module.get_submodule(step), channels.layers.get(step)
    if told is None:  # an activation; dropout changes nothing where it only evaluates
        training = layer.training
        value = layer.eval()(value.view(1, -1, 1, 1)).flatten()
        layer.train(training)
        return value
    return _normalized(layer, value) if told.kind == NORM else _mixed(layer, told.kind, value)


def _mixed(layer: nn.Module, kind: str, value: Tensor) -> Tensor:
    weight = layer.weight.cpu()
    summed = weight.flatten(2).sum(2) if weight.ndim > 2 else weight
    value = summed[:, 0] * value if kind == DEPTHWISE else summed @ value
    return value if layer.bias is None else value + layer.bias.cpu()


def _normalized(layer: nn.BatchNorm2d, value: Tensor) -> Tensor:
    if layer.running_mean is None:  # of each batch anew, where a constant is its own mean
        value = torch.zeros_like(value)
    else:
        value = (value - layer.running_mean.cpu()) / (layer.running_var.cpu() + layer.eps).sqrt()
    return value if layer.weight is None else value * layer.weight.cpu() + layer.bias.cpu()
