"""Networks of another shape than their code builds: layers with fewer channels, and without some.

A *shape specification* says as data which channels of each layer are left, and what became of
layers that are gone. It belongs to a state; :func:`apply` makes a freshly built network fit it, so
that weights can be loaded. :class:`Cuts` says the same of one change, relative to what there is.

Layers keep their names and their forward pass stays the network's own. Where a residual block's
body is gone, its last layer gives a constant, and those before give nothing to compute.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from pruning.errors import PruningError
from pruning.models.channels import Branch, Channels, Layer
from pruning.models.layers import CONVOLUTION, LINEAR, is_kind
from pruning.models.stand_ins import Constant, Nothing, select, spread

Shape = Mapping[str, Tensor]

# What a removed layer becomes, as the specification says it.
FIRST, BETWEEN, LAST = 0, 1, 2


@dataclass(frozen=True)
class LayerCut:
    """What one layer keeps, as indices of what it has.

    Attributes:
        outputs: output channels; those of a depthwise or normalization layer.
        inputs: input channels, or features; None of layers that keep channels apart.
        reads: where in the tensor that it is given its inputs lie; None: it is given just these.
        writes: where in the tensor that it gives its outputs lie; None: it gives just these.
        width: channels of that tensor.
    """

    outputs: tuple[int, ...]
    inputs: tuple[int, ...] | None = None
    reads: tuple[int, ...] | None = None
    writes: tuple[int, ...] | None = None
    width: int = 0


@dataclass(frozen=True)
class Cuts:
    """One change of a network's shape.

    Attributes:
        layers: what each layer keeps, by name, for all that lose or gate something.
        removed: modules of branches that go: :data:`FIRST`, :data:`BETWEEN` or :data:`LAST`.
        constants: what each last of these gives instead, one number per channel.
        strides: of each first of these, by which the body makes the sides of an image smaller.
    """

    layers: Mapping[str, LayerCut] = field(default_factory=dict)
    removed: Mapping[str, int] = field(default_factory=dict)
    constants: Mapping[str, Tensor] = field(default_factory=dict)
    strides: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.layers or self.removed)


@dataclass(frozen=True)
class Gate:
    """A branch that works on fewer of the channels it shares with others.

    Attributes:
        branch: whose first layer reads a selection, and whose last writes into zeros.
        reads: numbers of the channels that the first one mixes.
        writes: numbers of the channels that are added to.
    """

    branch: Branch
    reads: Collection[int]
    writes: Collection[int]


def cuts(
    channels: Channels,
    kept: Collection[int],
    *,
    gates: Collection[Gate] = (),
    without: Collection[Branch] = (),
    constants: Mapping[str, Tensor] | None = None,
) -> Cuts:
    """What every layer has to lose so that a network has certain channels only.

    Args:
        channels: of the network.
        kept: numbers of the channels that stay.
        gates: of branches that stay.
        without: branches whose body goes.
        constants: by branch's last module, what it gives from now on; zero without.

    Raises:
        PruningError: a layer that stays would keep nothing.
    """
    kept, constants = set(kept), constants or {}
    removed = {name: role for branch in without for name, role in _roles(branch)}
    reads = {gate.branch.modules[0]: kept & set(gate.reads) for gate in gates}
    writes = {n: kept & set(gate.writes) for gate in gates for n in gate.branch.tail(channels)}
    writers = {gate.branch.modules[-1] for gate in gates}
    layers = {}
    for name, layer in channels.layers.items():
        if name not in removed:
            made, read = writes.get(name, kept), reads.get(name, kept)
            cut = _layer_cut(layer, kept, made, read, name in writers)
            if not cut.outputs or cut.inputs == ():
                raise PruningError(f"Nothing would be left of layer {name!r}.")
            if cut != _whole(layer):
                layers[name] = cut
        elif removed[name] == LAST:  # it goes on giving all channels
            layers[name] = LayerCut(_places(layer.target, kept))
    given = {
        branch.modules[-1]: constants.get(
            branch.modules[-1], torch.zeros(len(layers[branch.modules[-1]].outputs))
        )
        for branch in without
    }
    strides = {branch.modules[0]: branch.strides for branch in without}
    return Cuts(layers, removed, given, strides)


def _whole(layer: Layer) -> LayerCut:
    """The cut that changes nothing."""
    everything = {*layer.source, *layer.target, *layer.outputs}
    return _layer_cut(layer, everything, everything, everything, False)


def _layer_cut(
    layer: Layer, kept: Collection[int], made: Collection[int], read: Collection[int], writes: bool
) -> LayerCut:
    """Of a layer whose outputs are to be among ``made`` and its inputs among ``read``, where the
    tensors around it have the channels ``kept``."""
    outputs, target = _kept(layer.outputs, made), _kept(layer.target, kept)
    writes = (writes or layer.outputs != layer.target) and outputs != target
    places = tuple(map(target.index, outputs)) if writes else None
    width = len(target) if writes else 0
    if not layer.inputs:
        return LayerCut(_places(layer.outputs, made), None, None, places, width)
    inputs, source = _kept(layer.inputs, read), _kept(layer.source, kept)
    selected = None if inputs == source else tuple(map(source.index, inputs))
    kept_inputs = _places(layer.inputs, read)
    return LayerCut(_places(layer.outputs, made), kept_inputs, selected, places, width)


def _roles(branch: Branch) -> Iterator[tuple[str, int]]:
    first, *between, last = branch.modules
    yield first, FIRST
    yield from ((name, BETWEEN) for name in between)
    yield last, LAST


def _places(channels: tuple[int, ...], kept: Collection[int]) -> tuple[int, ...]:
    return tuple(place for place, channel in enumerate(channels) if channel in kept)


def _kept(channels: tuple[int, ...], kept: Collection[int]) -> tuple[int, ...]:
    return tuple(channel for channel in channels if channel in kept)


# -- a shape specification ------------------------------------------------------------------------


def changed(shape: Shape, change: Cuts) -> dict[str, Tensor]:
    """The specification after a change.

    Args:
        shape: before, by ``<layer>/<what>``; indices count the channels of the network as built.
        change: relative to it.
    """
    new = {
        key: value for key, value in shape.items() if key.rpartition("/")[0] not in change.removed
    }
    for name, cut in change.layers.items():
        for side, kept in (("outputs", cut.outputs), ("inputs", cut.inputs)):
            if kept is not None:
                before = new.get(f"{name}/{side}")
                chosen = torch.tensor(kept)
                new[f"{name}/{side}"] = chosen if before is None else before[chosen]
        for what in ("reads", "writes", "width"):
            new.pop(f"{name}/{what}", None)
        if cut.reads is not None:
            new[f"{name}/reads"] = torch.tensor(cut.reads)
        if cut.writes is not None:
            new[f"{name}/writes"] = torch.tensor(cut.writes)
            new[f"{name}/width"] = torch.tensor(cut.width)
    for name, role in change.removed.items():
        new[f"{name}/removed"] = torch.tensor(role)
    for name, strides in change.strides.items():
        new[f"{name}/strides"] = torch.tensor(strides, dtype=torch.long)
    return new


def apply(module: nn.Module, shape: Shape) -> nn.Module:
    """Make a network as its code builds it fit a specification; its weights are cut along.

    Args:
        module: changed in place.
        shape: from a state; empty changes nothing.

    Raises:
        PruningError: the specification is of another network.
    """
    by_layer: dict[str, dict[str, Tensor]] = {}
    for key, value in shape.items():
        name, _, what = key.rpartition("/")
        by_layer.setdefault(name, {})[what] = value
    for name, told in by_layer.items():
        try:
            layer = module.get_submodule(name)
            if "removed" in told:
                _replace(module, name, _stand_in(told))
            else:
                _resize(layer, told)
        except (AttributeError, IndexError, RuntimeError, KeyError) as error:
            raise PruningError(
                f"The shape of this state is of another network: {name!r} is not a layer that it "
                f"fits ({error})."
            ) from None
    return module


def _replace(module: nn.Module, name: str, layer: nn.Module) -> None:
    owner, _, attribute = name.rpartition(".")
    setattr(module.get_submodule(owner), attribute, layer)


def _stand_in(told: Mapping[str, Tensor]) -> nn.Module:
    role = int(told["removed"])
    if role == LAST:
        return Constant(len(told["outputs"]))
    return Nothing(tuple(told["strides"].tolist())) if role == FIRST else nn.Identity()


def _resize(layer: nn.Module, told: Mapping[str, Tensor]) -> None:
    outputs, inputs = told["outputs"], told.get("inputs")
    for tensors in (dict(layer.named_parameters(recurse=False)), dict(layer.named_buffers())):
        for attribute, tensor in tensors.items():
            kept = _cut(tensor.detach(), tensor.shape, outputs, inputs)
            if isinstance(tensor, nn.Parameter):
                kept = nn.Parameter(kept, requires_grad=tensor.requires_grad)
            setattr(layer, attribute, kept)
    if is_kind(layer, CONVOLUTION):
        if inputs is None:  # depthwise
            layer.groups = layer.in_channels = layer.out_channels = len(outputs)
        else:
            layer.in_channels, layer.out_channels = len(inputs), len(outputs)
    elif is_kind(layer, LINEAR):
        layer.in_features, layer.out_features = len(inputs), len(outputs)
    elif isinstance(layer, nn.modules.batchnorm._NormBase):
        layer.num_features = len(outputs)
    if "reads" in told:
        layer.reads = told["reads"]
        layer.register_forward_pre_hook(select)
    if "writes" in told:
        layer.writes, layer.width = told["writes"], int(told["width"])
        layer.register_forward_hook(spread)


# -- tensors of a network -----------------------------------------------------------------------


def cut_tensors(
    tensors: Mapping[str, Tensor], change: Cuts, parameters: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Weights, buffers, masks or optimizer slots after a change.

    Args:
        tensors: by name of a parameter or buffer, perhaps after ``<slot>/``.
        change: which channels go.
        parameters: whose slots they are, by name; an optimizer may keep fewer numbers than a
            parameter has, one per channel or one in all.

    Raises:
        PruningError: a slot whose shape does not follow from that of its parameter.
    """
    result = {}
    for key, tensor in tensors.items():
        name = key.rpartition("/")[2]
        layer = name.rpartition(".")[0]
        if layer in change.removed:
            continue
        cut = change.layers.get(layer)
        if cut is not None and tensor.numel() > 1:
            of = (parameters or tensors)[name if parameters else key]
            inputs = None if cut.inputs is None else torch.tensor(cut.inputs)
            try:
                tensor = _cut(tensor, of.shape, torch.tensor(cut.outputs), inputs)
            except (IndexError, ValueError):
                raise PruningError(
                    f"Optimizer slot {key!r} of shape {tuple(tensor.shape)} cannot be cut along "
                    f"with its weight of shape {tuple(of.shape)}. Use another optimizer."
                ) from None
        result[key] = tensor
    return result


def _cut(tensor: Tensor, whole: torch.Size, outputs: Tensor, inputs: Tensor | None) -> Tensor:
    for axis, kept in ((0, outputs), (1, inputs)):
        if kept is None or axis >= len(whole) or tensor.numel() <= 1:
            continue
        if tensor.shape[axis] == 1 and whole[axis] != 1:
            continue  # one number for all channels
        if tensor.shape[axis] != whole[axis]:
            raise ValueError
        tensor = tensor.index_select(axis, kept)
    return tensor.clone()
