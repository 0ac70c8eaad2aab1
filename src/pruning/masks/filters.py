"""Structured pruning: whole filters with the smallest L1 norm (Li et al. 2017).

As in the code of Renda et al. (2020), reference section 3: the number of filters that goes is
rounded down plus one Bernoulli draw with the fractional part as its probability, and the draws are
the same for every replicate, so that all of them lose equally many.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from math import floor
from random import Random

from torch import Tensor, nn

from pruning.errors import PruningError
from pruning.masks import mask as masking
from pruning.masks.weights import Pruned, surviving
from pruning.models.channels import DEPTHWISE, WEIGHT, Channels, follow
from pruning.models.layers import CONVOLUTION, TRANSPOSED, is_kind, named_kernels
from pruning.training.state import State
from pruning.training.task import Task

SHORTCUT = "shortcut"  # how the networks name the path around a block


def prune_filters(
    task: Task,
    state: State,
    *,
    thinnings: Sequence[Mapping],
    level: int,
    seed: int = 0,
    purpose: tuple[str | int, ...] = (),
) -> Pruned:
    """Remove the filters of some convolutions with the smallest L1 norm.

    Args:
        task: names the prunable weights.
        state: what to rank; what is masked counts as zero.
        thinnings: ``convs`` (indices from 1, projections not counted) and ``fraction`` of each
            group.
        level: i removes 1 - (1 - fraction)^i of the filters.
        seed, purpose: taken for the sake of the common signature; every replicate loses equally
            many filters.

    Returns:
        Masks that zero the filters; ``remaining`` also lacks what they feed.

    Raises:
        PruningError: an index that is no convolution, is listed twice, is exempt, or whose filters
            cannot go alone: its output is added to a shortcut, read by several layers, or goes into
            what is not understood.
    """
    del seed, purpose
    weights, masks = surviving(task, state)
    module = task.build()
    channels = follow(module, task.example())
    fed = _fed(channels)
    fractions = _fractions(thinnings, module, fed, masks, channels.whole)
    draws = Random(0)  # as the authors: re-seeded at each call; with it the counts are theirs
    for name, fraction in fractions.items():
        norms = weights[name].abs().flatten(1).sum(1)
        removed = _filters_to_remove(len(norms), 1 - (1 - fraction) ** level, draws)
        masks[name] = masks[name].clone()
        masks[name][norms.sort(stable=True).indices[:removed]] = False
    remaining = _cut(masks, module, fed)
    return Pruned(masks, remaining, masking.density(remaining))


def main_convs(module: nn.Module) -> list[str]:
    """Names of the convolution kernels in module order, projections of shortcuts left out."""
    return [
        name
        for name, layer, _, _ in named_kernels(module)
        if is_kind(layer, CONVOLUTION, TRANSPOSED) and SHORTCUT not in name.split(".")
    ]


def fed_layers(module: nn.Module, example: tuple[Tensor, ...]) -> dict[str, str]:
    """Each layer whose output goes to one other layer alone, which reads nothing else, and that
    layer, by weight names.

    A depthwise layer on the way is fed, and feeds. Where outputs are also what shortcuts carry on,
    several layers make or read them, and none of these feeds another alone.

    Args:
        module: the network.
        example: what it takes, a batch of one.
    """
    return _fed(follow(module, example))


def _fed(channels: Channels) -> dict[str, str]:
    makers, readers = channels.makers(), channels.readers()
    fed = {}
    for layer in channels.layers.values():
        made = layer.outputs
        if layer.kind != WEIGHT or any(len(makers[channel]) > 1 for channel in made):
            continue
        if channels.fixed.intersection(made):  # something else reads them, that is not understood
            continue
        reading = {name for channel in made for name, _ in readers.get(channel, ())}
        if len(reading) != 1 or {*channels.layers[min(reading)].inputs} != {*made}:
            continue
        way = [
            other.name
            for other in channels.layers.values()
            if other.kind == DEPTHWISE and other.outputs == made
        ]
        fed |= pairwise([layer.name, *way, *reading])
    return {f"{name}.weight": f"{following}.weight" for name, following in fed.items()}


def cut(
    masks: Mapping[str, Tensor], module: nn.Module, example: tuple[Tensor, ...]
) -> masking.Masks:
    """The masks of the network that is left when removed filters are really cut out.

    A filter that is gone takes the matching inputs of the layer it feeds with it, and through a
    depthwise layer, whose channels stay apart, those of the layer after. As the published
    densities count, so do the matching inputs of a projection in the next block: an odd convention,
    as a projection reads the block's output, and worth less than 0.2 percentage points of density;
    without it the published counts of kept weights are not met.

    Args:
        masks: by weight name.
        module: the network they are of; weights without a mask stay whole.
        example: what it takes, a batch of one.
    """
    return _cut(masks, module, fed_layers(module, example))


def _cut(masks: Mapping[str, Tensor], module: nn.Module, fed: Mapping[str, str]) -> masking.Masks:
    remaining = {name: mask.clone() for name, mask in masks.items()}
    silent: dict[str, Tensor] = {}  # channels of depthwise layers that nothing reaches
    for name, following in (*fed.items(), *_projections(module)):
        if name not in masks or following not in masks or masks[name].ndim < 3:
            continue
        gone = ~masks[name].flatten(1).any(1)
        if name in silent:
            gone |= silent[name]
        target = remaining[following]
        if _is_depthwise(module, following):
            target[gone] = False
            silent[following] = gone
            continue
        inputs = gone.repeat_interleave(target.shape[1] // len(gone))  # a linear layer: H x W each
        target[:, inputs] = False
    return remaining


def _is_depthwise(module: nn.Module, name: str) -> bool:
    layer = module.get_submodule(name.removesuffix(".weight"))
    return is_kind(layer, CONVOLUTION) and layer.groups == layer.in_channels > 1


def _projections(module: nn.Module) -> Iterator[tuple[str, str]]:
    """The first convolution of a block, and the projection in the next block.

    Of this package's networks, which have them by this name; elsewhere a name says nothing.
    """
    weights, main = dict(module.named_parameters()), []
    for name, _, _, _ in named_kernels(module):
        if name not in weights:
            continue
        block, is_shortcut, _ = name.partition(f".{SHORTCUT}.")
        if not is_shortcut:
            main.append(name)
            continue
        if not type(module.get_submodule(block)).__module__.startswith("pruning.models."):
            continue
        before = [n for n in main if not n.startswith(f"{block}.")]
        if len(before) > 1 and len(weights[before[-2]]) == weights[name].shape[1]:
            yield before[-2], name


def _fractions(
    thinnings: Sequence[Mapping],
    module: nn.Module,
    fed: Mapping[str, str],
    masks: Mapping[str, Tensor],
    whole: Sequence[str],
) -> dict[str, float]:
    """The fraction of each convolution that is thinned out, in module order."""
    convs = main_convs(module)
    fractions: dict[str, float] = {}
    for thinning in thinnings:
        for index in thinning["convs"]:
            what = f"Structured pruning names convolution {index}"
            if not 1 <= index <= len(convs):
                raise PruningError(
                    f"{what}, but this network has {len(convs)} (counted from 1, projections of "
                    "shortcuts left out)."
                )
            name = convs[index - 1]
            if name in fractions:
                raise PruningError(f"{what} twice.")
            if name not in masks:
                raise PruningError(f"{what}, {name}, which the study exempts from pruning.")
            if name not in fed:
                raise PruningError(_not_alone(f"{what}, {name}", whole))
            fractions[name] = thinning["fraction"]
    return {name: fractions[name] for name in convs if name in fractions}


def _not_alone(what: str, whole: Sequence[str]) -> str:
    """Why the filters of a convolution cannot go alone."""
    told = (
        f"{what}, but its output is added to a shortcut, is read by several layers or cannot be "
        "followed, so its filters cannot go alone. Name the first convolutions of blocks."
    )
    return f"{told} Not followed in this network: {'; '.join(whole[:5])}." if whole else told


def _filters_to_remove(filters: int, fraction: float, draws: Random) -> int:
    wanted = filters * fraction
    count = floor(wanted)
    # All of them may go, as in the published level 5: a residual block is then its shortcut alone.
    return count + int(draws.random() < wanted - count)
