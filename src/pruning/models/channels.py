"""Which channels of a network's layers are the same, found by following its data flow.

A channel that one layer makes is read by others, added to those of other layers, carried on by
batch norm, flattened into several inputs of a linear layer. It can leave the network only with all
of that, so every channel has one number here, wherever it goes.

The network is traced symbolically and run once on an example. What is not understood is safe: the
channels that go into it and come out of it are *fixed*, which says that none of them may go.
"""

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from pruning.errors import PruningError
from pruning.models.layers import CONVOLUTION, LINEAR, NORMS, is_kind, kind_of
from pruning.models.stand_ins import Constant, Nothing, select, spread

WEIGHT, DEPTHWISE, NORM, CONSTANT = "weight", "depthwise", "norm", "constant"


@dataclass(frozen=True)
class Layer:
    """A layer by its channels.

    Attributes:
        name: of the module.
        kind: :data:`WEIGHT`: a convolution or linear layer, which mixes channels; :data:`DEPTHWISE`
            and :data:`NORM` keep them apart; :data:`CONSTANT` reads none.
        outputs: number of the channel that each output carries.
        inputs: the same of each input; of a linear layer after flattening, one channel several
            times. Empty where a layer keeps channels apart.
        source: the channels of the tensor it is given; more than it has where it is gated.
        target: the channels of the tensor it gives; more than it has where it is gated.
    """

    name: str
    kind: str
    outputs: tuple[int, ...]
    inputs: tuple[int, ...]
    source: tuple[int, ...]
    target: tuple[int, ...]


@dataclass(frozen=True)
class Branch:
    """A chain of modules whose output is added to something else: the body of a residual block.

    Attributes:
        modules: names of the modules with parameters, in order: the first mixes channels, and at
            least one more does.
        steps: what happens in order, with activations between: names of modules, or functions.
        inside: for each module that mixes channels but the last, the channels it makes; nobody
            outside the branch reads them.
        strides: by which it makes each side of an image smaller.
    """

    modules: tuple[str, ...]
    steps: tuple[str | Callable[[Tensor], Tensor], ...]
    inside: Mapping[str, tuple[int, ...]]
    strides: tuple[int, ...] = ()

    def tail(self, channels: "Channels") -> tuple[str, ...]:
        """The last module that mixes channels, and those after it."""
        mixing = [name for name in self.modules if channels.layers[name].kind == WEIGHT]
        return self.modules[self.modules.index(mixing[-1]) :]


@dataclass(frozen=True)
class Channels:
    """All channels of a network.

    Attributes:
        layers: by name, in the order of the forward pass.
        fixed: numbers of channels that may not go: of the input, of the output, and around what
            is not understood.
        branches: whose whole body can be taken out.
        whole: why channels are fixed, one line for each operation that was not understood.
    """

    layers: Mapping[str, Layer]
    fixed: frozenset[int]
    branches: tuple[Branch, ...]
    whole: tuple[str, ...] = ()

    def makers(self) -> dict[int, list[tuple[str, int]]]:
        """By channel, (layer, output) of every layer that makes it by mixing others."""
        return self._of("outputs")

    def readers(self) -> dict[int, list[tuple[str, int]]]:
        """By channel, (layer, input) of every layer that mixes it with others."""
        return self._of("inputs")

    def spaces(self) -> list[tuple[int, ...]]:
        """Channels in groups that belong together: the outputs of a layer, and of all that make
        any of the same. A *node* of Lym et al. (2019)."""
        union = _Union()
        for layer in self._mixing():
            for channel in layer.outputs:
                union.join(layer.outputs[0], channel)
        groups: dict[int, dict[int, None]] = {}
        for layer in self._mixing():
            for channel in layer.outputs:
                groups.setdefault(union.root(channel), {})[channel] = None
        return [tuple(group) for group in groups.values()]

    def _mixing(self) -> Iterator[Layer]:
        return (layer for layer in self.layers.values() if layer.kind == WEIGHT)

    def _of(self, side: str) -> dict[int, list[tuple[str, int]]]:
        found: dict[int, list[tuple[str, int]]] = {}
        for layer in self._mixing():
            for index, channel in enumerate(getattr(layer, side)):
                found.setdefault(channel, []).append((layer.name, index))
        return found


def follow(module: nn.Module, example: tuple[Tensor, ...]) -> Channels:
    """Follow the channels of a network.

    Args:
        module: the network; left as it was.
        example: what it takes, a batch of one; channels are axis 1.

    Raises:
        PruningError: the network cannot be traced, as its forward pass branches on values.
    """
    training = module.training
    try:
        module.eval()
        graph = fx.GraphModule(module, Tracer().trace(module))
        with torch.no_grad():
            ShapeProp(graph).propagate(*example)
    except Exception as error:  # whatever a network's own code raises when it is traced
        raise PruningError(
            f"The channels of this network cannot be followed: {' '.join(str(error).split())}. "
            "Its forward pass must not depend on values, as torch.fx traces it."
        ) from error
    finally:
        module.train(training)
    return _Follower(graph).channels()


class Tracer(fx.Tracer):
    """Does not look into layers whose channels are known."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        known = kind_of(m) is not None or isinstance(m, (*NORMS, Constant, Nothing))
        return known or super().is_leaf_module(m, module_qualified_name)


@dataclass
class _Union:
    """Numbers that turn out to be the same."""

    parents: dict[int, int] = field(default_factory=dict)

    def root(self, number: int) -> int:
        while (parent := self.parents.get(number, number)) != number:
            self.parents[number] = self.parents.get(parent, parent)
            number = parent
        return number

    def join(self, first: int, second: int) -> None:
        first, second = sorted((self.root(first), self.root(second)))
        self.parents[second] = first


# Operations on one tensor that keep its channels apart and in place.
_ALONE_MODULES = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Hardswish, nn.Hardsigmoid,
    nn.Sigmoid, nn.Tanh, nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d,
)  # fmt: skip
_POOL_MODULES = (
    nn.MaxPool1d, nn.AvgPool1d, nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d,
    nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d,
    nn.MaxPool3d, nn.AvgPool3d, nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool3d,
)  # fmt: skip
_ALONE = {
    torch.relu, torch.sigmoid, torch.tanh, torch.neg, torch.abs, nn.functional.relu,
    nn.functional.relu6, nn.functional.gelu, nn.functional.silu, nn.functional.leaky_relu,
    nn.functional.elu, nn.functional.hardswish, nn.functional.hardsigmoid, nn.functional.dropout,
    nn.functional.dropout2d, "relu", "relu_", "sigmoid", "tanh", "neg", "abs", "contiguous",
    "clone", "clamp", "clamp_",
}  # fmt: skip
_POOLS = {
    nn.functional.max_pool2d, nn.functional.avg_pool2d, nn.functional.adaptive_avg_pool2d,
    nn.functional.adaptive_max_pool2d, torch.max_pool2d,
    nn.functional.max_pool1d, nn.functional.avg_pool1d, nn.functional.adaptive_avg_pool1d,
    nn.functional.adaptive_max_pool1d, torch.max_pool1d,
    nn.functional.max_pool3d, nn.functional.avg_pool3d, nn.functional.adaptive_avg_pool3d,
    nn.functional.adaptive_max_pool3d, torch.max_pool3d,
}  # fmt: skip
_ADDS = {operator.add, torch.add, "add"}
_ADDS_IN_PLACE = {operator.iadd, "add_"}
ADDITIONS = _ADDS | _ADDS_IN_PLACE
_TOGETHER = ADDITIONS | {
    operator.sub, operator.mul, operator.truediv, torch.mul, torch.sub, "mul", "sub", "mul_",
    "sub_",
}  # fmt: skip
_RESHAPES = {torch.flatten, torch.reshape, "flatten", "view", "reshape", nn.Flatten}
_MEANS = {torch.mean, torch.amax, "mean", "amax"}
_CONCATENATIONS = {torch.cat, torch.concat}


class _Follower:
    """One pass over a traced network; ``at`` holds the channels of every tensor so far."""

    def __init__(self, graph: fx.GraphModule) -> None:
        self.graph, self.modules = graph, dict(graph.named_modules())
        self.count, self.union = 0, _Union()
        self.fixed: set[int] = set()
        self.layers: dict[str, Layer] = {}
        self.owners: dict[int, str] = {}  # of weights, by identity
        self.read_elsewhere: set[str] = set()  # layers whose weights are used outside of them
        self.whole: list[str] = []
        self.from_input: set[fx.Node] = set()
        self.at: dict[fx.Node, tuple[int, ...] | None] = {}

    def channels(self) -> Channels:
        for node in self.graph.graph.nodes:
            if node.op == "placeholder" or self.from_input.intersection(node.all_input_nodes):
                self.from_input.add(node)
            self.at[node] = self._outputs(node)
        for name in self.read_elsewhere & self.layers.keys():
            self.whole.append(f"{name} has weights that are used outside of it")
            self.fixed.update((*self.layers[name].outputs, *self.layers[name].inputs))
        root = self.union.root
        layers = {name: self._rooted(layer) for name, layer in self.layers.items()}
        fixed = frozenset(map(root, self.fixed))
        return Channels(layers, fixed, tuple(self._branches(layers)), tuple(self.whole))

    def _rooted(self, layer: Layer) -> Layer:
        outputs, inputs, source, target = (
            tuple(map(self.union.root, channels))
            for channels in (layer.outputs, layer.inputs, layer.source, layer.target)
        )
        return Layer(layer.name, layer.kind, outputs, inputs, source, target)

    # -- what an operation does to channels ---------------------------------------------------

    def _outputs(self, node: fx.Node) -> tuple[int, ...] | None:
        if node.op == "output":
            self._fix(node)
            return None
        if node.op == "get_attr":
            self.read_elsewhere.add(node.target.rpartition(".")[0])
        size = _size(node)
        if size is None or len(size) < 2:  # no tensor with channels; whoever feeds it is read whole
            if node.op != "placeholder" and not _asks_size(node):
                self._fix(node)
            return None
        if node.op in ("placeholder", "get_attr"):
            return self._new(size[1], fixed=True)
        if node.op == "call_module":
            layer = self.modules[node.target]
            if is_kind(layer, CONVOLUTION, LINEAR):
                if not _is_plain(layer):
                    return self._not_followed(node, size[1], "no ordinary layer")
                return self._mix(node, layer)
            if (kind := kind_of(layer)) is not None:
                return self._not_followed(node, size[1], f"a layer of the kind {kind.name!r}")
            if isinstance(layer, nn.modules.batchnorm._NormBase):
                return self._keep_apart(node, NORM)
            if isinstance(layer, Nothing):
                return self._new(1, fixed=True)
            if isinstance(layer, Constant):
                return self._noted(node, CONSTANT, self._new(size[1]), (), ())
        inputs = self._inputs(node)
        known = self._known(_what(node, self.modules), node, size, inputs)
        if known is not None:
            return known
        self.whole.append(f"{node.name} ({node.target}) is not understood")
        self._fix(node)
        return self._new(size[1], fixed=True)

    def _known(
        self, what: Any, node: fx.Node, size: tuple[int, ...], inputs: list[tuple[int, ...] | None]
    ) -> tuple[int, ...] | None:
        first = inputs[0] if inputs else None
        before = _size(node.all_input_nodes[0]) if node.all_input_nodes else None
        if first is None or before is None:
            return None
        same = len(size) == len(before) and size[1] == before[1] == len(first)
        if what in _ALONE or what in _POOLS:
            return first if same and len(node.all_input_nodes) == 1 else None
        if what in _TOGETHER:
            return self._together(node, size)
        if what in _CONCATENATIONS:
            return self._concatenated(node, size)
        if what in _RESHAPES:
            return None if _says_features(node) else _flattened(first, before, size)
        if what in _MEANS:
            kept = size[1] == len(first) and len(size) in (2, len(before))
            return first if kept and 1 not in _axes(node, len(before)) else None
        if what is operator.getitem:
            return first if same and _leaves_channels(node.args[1]) else None
        if what is nn.functional.pad:
            return self._padded(node, first, size)
        return None

    def _together(self, node: fx.Node, size: tuple[int, ...]) -> tuple[int, ...] | None:
        """Two tensors of one shape, value by value; or one, and a number."""
        if len(node.args) != 2 or node.kwargs.get("alpha", 1) != 1:
            return None
        tensors = [a for a in node.args if isinstance(a, fx.Node) and _size(a) is not None]
        if any(isinstance(a, fx.Node) and a not in tensors for a in node.args):
            return None
        channels = [self.at[tensor] for tensor in tensors]
        if any(c is None for c in channels) or any(_size(t)[:2] != size[:2] for t in tensors):
            return None
        if len(channels) == 2:
            for one, other in zip(*channels, strict=True):
                self.union.join(one, other)
        return channels[0]

    def _concatenated(self, node: fx.Node, size: tuple[int, ...]) -> tuple[int, ...] | None:
        axis = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)
        tensors = node.args[0] if node.args else node.kwargs["tensors"]
        parts = [self.at[tensor] for tensor in tensors]
        if axis not in (1, 1 - len(size)) or any(part is None for part in parts):
            return None
        return tuple(channel for part in parts for channel in part)

    def _padded(
        self, node: fx.Node, first: tuple[int, ...], size: tuple[int, ...]
    ) -> tuple[int, ...] | None:
        widths = node.args[1] if len(node.args) > 1 else node.kwargs["pad"]
        if not all(isinstance(width, int) for width in widths) or len(widths) > 6:
            return None
        if any(width < 0 for width in widths[2 * (len(size) - 2) :]):  # takes channels away
            return None
        before, after = (*widths, *[0] * (6 - len(widths)))[2 * (len(size) - 2) :][:2]
        zeros = self._new(before, fixed=True), self._new(after, fixed=True)
        return (*zeros[0], *first, *zeros[1])

    def _mix(self, node: fx.Node, layer: nn.Module) -> tuple[int, ...]:
        convolves = is_kind(layer, CONVOLUTION)
        if convolves and layer.groups > 1:
            if layer.groups == layer.in_channels == layer.out_channels:
                return self._keep_apart(node, DEPTHWISE)
            return self._not_followed(node, layer.out_channels, "a convolution in groups")
        source, size = self.at[node.all_input_nodes[0]], _size(node)
        if not convolves and len(size) != 2:
            return self._not_followed(node, size[1], "a linear layer over a sequence")
        if convolves and len(size) != 2 + len(layer.kernel_size):
            return self._not_followed(node, size[1], "a convolution without an axis of examples")
        if source is None or node.target in self.layers:
            return self._not_followed(node, size[1], "a layer that is used more than once")
        if (owner := self.owners.setdefault(id(layer.weight), node.target)) != node.target:
            self.fixed.update((*self.layers[owner].outputs, *self.layers[owner].inputs))
            return self._not_followed(node, size[1], f"of the same weight as {owner}")
        inputs = source
        if (reads := getattr(layer, "reads", None)) is not None:
            inputs = tuple(source[index] for index in reads.tolist())
        made = layer.out_channels if convolves else layer.out_features
        return self._noted(node, WEIGHT, self._new(made), inputs, source)

    def _keep_apart(self, node: fx.Node, kind: str) -> tuple[int, ...]:
        channels = self.at[node.all_input_nodes[0]]
        if channels is None or node.target in self.layers:
            return self._not_followed(node, _size(node)[1], "a layer that is used more than once")
        return self._noted(node, kind, channels, (), channels)

    def _noted(
        self,
        node: fx.Node,
        kind: str,
        outputs: tuple[int, ...],
        inputs: tuple[int, ...],
        source: tuple[int, ...],
    ) -> tuple[int, ...]:
        """Write a layer down; the channels of the tensor it gives.

        A gated layer puts its channels into a wider tensor that is zero elsewhere.
        """
        module, target = self.modules[node.target], outputs
        if (writes := getattr(module, "writes", None)) is not None:
            wide = list(self._new(module.width))
            for place, channel in zip(writes.tolist(), outputs, strict=True):
                wide[place] = channel
            target = tuple(wide)
        self.layers[node.target] = Layer(node.target, kind, outputs, inputs, source, target)
        return target

    def _not_followed(self, node: fx.Node, outputs: int, why: str) -> tuple[int, ...]:
        self.whole.append(f"{node.target} is {why}")
        self._fix(node)
        if (layer := self.layers.get(node.target)) is not None:
            self.fixed.update((*layer.outputs, *layer.inputs))
        return self._new(outputs, fixed=True)

    def _inputs(self, node: fx.Node) -> list[tuple[int, ...] | None]:
        return [self.at[tensor] for tensor in node.all_input_nodes]

    def _fix(self, node: fx.Node) -> None:
        for channels in self._inputs(node):
            self.fixed.update(channels or ())

    def _new(self, count: int, fixed: bool = False) -> tuple[int, ...]:
        made = tuple(range(self.count, self.count + count))
        self.count += count
        if fixed:
            self.fixed.update(made)
        return made

    # -- bodies of residual blocks --------------------------------------------------------------

    def _branches(self, layers: Mapping[str, Layer]) -> Iterator[Branch]:
        for node in self.graph.graph.nodes:
            if _what(node, self.modules) not in _ADDS or len(node.args) != 2:
                continue
            if any(not self._is_of_images(end, _size(node)) for end in node.args):
                continue  # what is left of the sum would not have its shape
            bodies = [self._body(end, layers) for end in node.args]
            if sum(body is not None for body in bodies) == 1:  # of two, one has to stay
                yield next(body for body in bodies if body is not None)

    def _body(self, end: Any, layers: Mapping[str, Layer]) -> Branch | None:
        """The chain that ends in a tensor, back to where something else reads its input too."""
        chain: list[fx.Node] = []
        node = end
        while isinstance(node, fx.Node) and len(node.users) == 1 and self._is_link(node):
            chain.insert(0, node)
            node = node.all_input_nodes[0]
        mixing = [
            n for n in chain if n.target in layers and layers[n.target].kind == WEIGHT
        ]  # fmt: skip
        if len(mixing) < 2:
            return None
        chain = chain[chain.index(mixing[0]) :]
        if chain[-1].op != "call_module":  # there has to be a module that can say what is left
            return None
        steps = tuple(
            n.target if n.op == "call_module" else _function(n) for n in chain
        )  # fmt: skip
        modules = tuple(n.target for n in chain if n.target in layers)
        strides = _strides(_size(chain[0].all_input_nodes[0]), _size(chain[-1]))
        if modules[-1] != chain[-1].target or strides is None:
            return None
        inside = {n.target: layers[n.target].outputs for n in mixing[:-1]}
        return Branch(modules, steps, inside, strides)

    def _is_of_images(self, end: Any, size: tuple[int, ...] | None) -> bool:
        """Whether something added is a tensor of the sum's size that follows from the input."""
        return isinstance(end, fx.Node) and _size(end) == size and end in self.from_input

    def _is_link(self, node: fx.Node) -> bool:
        if len(node.all_input_nodes) != 1:
            return False
        what = _what(node, self.modules)
        return what in _ALONE or (node.op == "call_module" and node.target in self.layers)


def _what(node: fx.Node, modules: Mapping[str, nn.Module]) -> Any:
    """The operation: a function, a method's name, or a function that does what a module does."""
    if node.op != "call_module":
        return node.target
    module = modules[node.target]
    if isinstance(module, _ALONE_MODULES):
        return "relu"  # whichever: all keep channels apart and in place
    if isinstance(module, _POOL_MODULES):
        return torch.max_pool2d
    return type(module)


def _is_plain(layer: nn.Module) -> bool:
    """Whether a convolution or linear layer does what these do, with the weight that it has."""
    forward = next(t.forward for t in kind_of(layer).types if isinstance(layer, t))
    hooks = [*layer._forward_pre_hooks.values(), *layer._forward_hooks.values()]
    return (
        type(layer).forward is forward
        and not nn.utils.parametrize.is_parametrized(layer)
        and all(hook in (select, spread) for hook in hooks)
    )


def _says_features(node: fx.Node) -> bool:
    """Whether a tensor is given a number of features that its code says."""
    if node.target not in (torch.reshape, "view", "reshape"):
        return False
    given = node.args[1:] if len(node.args) > 1 else (node.kwargs.get("shape", ()),)
    sizes = given[0] if isinstance(given[0], tuple | list) else given
    return any(isinstance(size, int) and size != -1 for size in sizes[1:])


def _strides(before: tuple[int, ...], after: tuple[int, ...]) -> tuple[int, ...] | None:
    """By which sides become smaller, if they do as by strides and padding alone."""
    strides = tuple(max(1, round(a / b)) for a, b in zip(before[2:], after[2:], strict=True))
    sides = tuple(-(-side // stride) for side, stride in zip(before[2:], strides, strict=True))
    return strides if sides == after[2:] else None


def _function(node: fx.Node) -> Callable[[Tensor], Tensor]:
    if node.op == "call_method":
        return lambda x: getattr(x, node.target)(*node.args[1:], **node.kwargs)
    return lambda x: node.target(x, *node.args[1:], **node.kwargs)


def _size(node: fx.Node) -> tuple[int, ...] | None:
    meta = node.meta.get("tensor_meta")
    return tuple(meta.shape) if hasattr(meta, "shape") else None


def _asks_size(node: fx.Node) -> bool:
    """Whether it only asks for a shape, or computes with one."""
    asks = node.target in ("size", "dim", "numel") or node.target is getattr
    return asks or all(_size(n) is None for n in node.all_input_nodes)


def _flattened(
    channels: tuple[int, ...], before: tuple[int, ...], after: tuple[int, ...]
) -> tuple[int, ...] | None:
    """Every channel as many times as it has positions."""
    if before[0] != after[0] or len(after) != 2 or len(channels) != before[1]:
        return None
    positions = after[1] // before[1]
    return tuple(channel for channel in channels for _ in range(positions))


def _axes(node: fx.Node, ndim: int) -> Iterable[int]:
    given = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
    if given is None:
        return range(ndim)
    return [axis % ndim for axis in ([given] if isinstance(given, int) else given)]


def _leaves_channels(index: Any) -> bool:
    everything = slice(None, None, None)
    if not isinstance(index, tuple) or index[0] is Ellipsis:
        return False
    return all(part == everything for part in index[:2]) and all(
        isinstance(part, slice) for part in index
    )
