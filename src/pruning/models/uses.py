"""How often one example uses each weight, by running the network once.

Layers of the table (:mod:`pruning.models.layers`) say so themselves. Weights that are used without
calling such a layer, as in ``F.linear(x, self.mixing)`` or where layers share one, are followed
through torch's operations: each product with something that depends on the example is a use.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pruning import registry
from pruning.errors import PruningError
from pruning.models import layers
from pruning.models.layers import Uses

_ATEN = torch.ops.aten
# Products of matrices: where the two factors stand among the arguments.
_PRODUCTS = {
    _ATEN.mm: (0, 1), _ATEN.bmm: (0, 1), _ATEN.mv: (0, 1), _ATEN.dot: (0, 1),
    _ATEN.addmm: (1, 2), _ATEN.baddbmm: (1, 2), _ATEN.addmv: (1, 2), _ATEN.addbmm: (1, 2),
    _ATEN.linear: (0, 1),
}  # fmt: skip
_CONVOLUTIONS = (_ATEN.convolution, _ATEN._convolution)
_FACTORS = (_ATEN.mul, _ATEN.div, _ATEN.mul_, _ATEN.div_)


@dataclass(frozen=True)
class Traced:
    """What one example does to a network's weights.

    Attributes:
        uses: by the weight's first name, of all that layers of the table or products use.
        reached: names of the parameters that something which depends on the example was combined
            with, in whatever way.
        vectors: names of those of fewer than two dimensions, biases above all: they are added or
            scale, which is no multiply-accumulate.
        output: what the network gave.
    """

    uses: Mapping[str, Uses]
    reached: frozenset[str]
    vectors: frozenset[str]
    output: Any


def trace(module: nn.Module, example: tuple[Tensor, ...]) -> Traced:
    """Run a network on an example, in evaluation mode; it is left as it was.

    Args:
        module: the network.
        example: what it takes, a batch of one.

    Raises:
        PruningError: it cannot run on the example; the message says why.
    """
    counter, training = _Counter(module, example), [m for m in module.modules() if m.training]
    hooks = list(counter.hooks(module))
    fastpath = torch.backends.mha.get_fastpath_enabled()
    try:
        module.eval()
        torch.backends.mha.set_fastpath_enabled(False)  # it calls no layer
        with torch.random.fork_rng(devices=[]), torch.no_grad(), counter:
            output = module(*example)
    except Exception as error:  # whatever a network's own code raises
        if told := registry.explained(error):
            raise told from error
        shapes = ", ".join(str(tuple(part.shape)) for part in example)
        raise PruningError(
            f"The network cannot run on one example of shape {shapes}: "
            f"{' '.join(str(error).split()) or type(error).__name__}"
        ) from error
    finally:
        torch.backends.mha.set_fastpath_enabled(fastpath)
        for hook in hooks:
            hook.remove()
        for part in training:
            part.training = True
    vectors = frozenset(name for name, p in module.named_parameters() if p.ndim < 2)
    return Traced(counter.uses, frozenset(counter.reached), vectors, output)


def refuse_unused(names: Sequence[str], traced: Traced) -> None:
    """Refuse prunable weights that a network does not use, or whose uses cannot be counted.

    Args:
        names: of the weights.
        traced: the network's run.

    Raises:
        PruningError: there are such weights; the message names them.
    """
    unused = [name for name in names if name not in traced.reached]
    if unused:
        raise PruningError(
            f"The forward pass does not use {', '.join(unused)}, or not so that it can be "
            "followed, so pruning could not train what is left. Take such layers out, or list them "
            "under `exempt`."
        )
    uncounted = [n for n in names if n not in traced.uses and n not in traced.vectors]
    if uncounted:
        raise PruningError(
            f"What {', '.join(uncounted)} costs cannot be counted: the forward pass multiplies "
            "nothing with it by a product of matrices, a convolution or entry by entry. List it "
            "under `exempt`, or use a layer of torch."
        )


@dataclass
class _Tracked:
    """Memory that holds entries of a parameter.

    Attributes:
        name: of the parameter.
        entries: of the whole memory: which entry lies where.
    """

    name: str
    entries: Tensor

    def of(self, view: Tensor) -> Tensor:
        """Which entries a view shows, in its shape."""
        return self.entries.as_strided(view.shape, view.stride(), view.storage_offset())


class _Counter(TorchDispatchMode):
    def __init__(self, module: nn.Module, example: tuple[Tensor, ...]) -> None:
        super().__init__()
        self.uses: dict[str, Uses] = {}
        self.reached: set[str] = set()
        self.named = dict(module.named_parameters())
        self.names = {id(p): name for name, p in self.named.items()}
        self.kernels = {
            self.names.get(id(layer._parameters.get(attribute)))
            for _, layer, attribute, _ in layers.named_kernels(module)
        }
        self.depth = 0  # of layers of the table that are running
        self.alive: list[Any] = []  # so that no other tensor gets their memory
        self.tracked = {
            _memory(p): _Tracked(name, torch.empty(0, dtype=torch.int64))
            for name, p in self.named.items()
        }
        self.from_example = {_memory(part) for part in example}

    def hooks(self, module: nn.Module) -> Iterator[Any]:
        for prefix, layer in module.named_modules():
            kind = layers.kind_of(layer)
            if kind is not None:
                yield layer.register_forward_pre_hook(self._enter, prepend=True)
                yield layer.register_forward_hook(
                    lambda layer, args, kwargs, made, prefix=prefix, kind=kind: self._leave(
                        prefix, layer, kind.uses(layer, (args, kwargs), made)
                    ),
                    with_kwargs=True,
                )

    def _enter(self, layer: nn.Module, args: Any) -> None:
        self.depth += 1

    def _leave(self, prefix: str, layer: nn.Module, uses: Mapping[str, Uses]) -> None:
        self.depth -= 1
        if self.depth:
            return  # part of another layer, which counts for it
        for attribute in layers.biases(layer):
            name = layers.inside(prefix, attribute)
            self.reached.add(self.names.get(id(layer._parameters.get(attribute)), name))
        for attribute, count in uses.items():
            weight = (
                layer.get_submodule(attribute.rpartition(".")[0]) if "." in attribute else layer
            )
            parameter = weight._parameters.get(attribute.rpartition(".")[2])
            name = self.names.get(id(parameter), layers.inside(prefix, attribute))
            self._add(name, count)

    def _add(self, name: str, count: Uses) -> None:
        self.reached.add(name)
        self.uses[name] = self.uses.get(name, 0) + count

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        given = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        outputs = [t for t in tree_leaves(made) if isinstance(t, Tensor)]
        weights = [t for t in given if self._is_followed(t)]
        depends = [t for t in given if _memory(t) in self.from_example]
        if depends:
            for output in outputs:
                self.from_example.add(_memory(output))
                self.alive.append(output)
        if weights:
            if depends:
                self.reached.update(self.tracked[_memory(t)].name for t in weights)
                self._count(func.overloadpacket, args, outputs)
            else:
                self._follow(weights, outputs)
        return made

    def _count(self, operation: Any, args: tuple[Any, ...], outputs: list[Tensor]) -> None:
        """Uses of a weight in a product with something that depends on the example."""
        made = outputs[0]
        if operation in _PRODUCTS:
            first, second = (args[place] for place in _PRODUCTS[operation])
            total = made.numel() * first.shape[-1]  # products in all
            if operation is _ATEN.addbmm:
                total *= len(first)
            for weight, factor in ((first, second), (second, first)):
                if self._is_product(weight, factor):
                    self._note(weight, total // weight.numel())
        elif operation in _CONVOLUTIONS and self._is_product(args[1], args[0]):
            through = args[0] if args[6] else made
            self._note(args[1], through.numel() // through.shape[1])
        elif operation in _FACTORS:
            for weight, factor in (args[:2], args[1::-1]):
                if self._is_product(weight, factor):
                    self._note(weight, made.numel() // weight.numel())

    def _is_followed(self, tensor: Tensor) -> bool:
        """Whether it is a weight, and no running layer counts its uses."""
        tracked = self.tracked.get(_memory(tensor))
        return tracked is not None and not (self.depth and tracked.name in self.kernels)

    def _is_product(self, weight: Any, factor: Any) -> bool:
        return (
            isinstance(weight, Tensor)
            and isinstance(factor, Tensor)
            and weight.numel() > 0
            and self._is_followed(weight)
            and _memory(weight) not in self.from_example
            and _memory(factor) in self.from_example
        )

    def _note(self, view: Tensor, count: int) -> None:
        tracked = self._of(view)
        whole = self.named[tracked.name]
        if whole.ndim < 2:
            return  # biases and scales: no MACs, as of batch norm
        entries = tracked.of(view).reshape(-1)
        entries = entries[entries >= 0]
        uses = torch.bincount(entries, minlength=whole.numel()) * count
        self._add(tracked.name, _simplest(uses.view(whole.shape)))

    def _of(self, view: Tensor) -> _Tracked:
        tracked = self.tracked[_memory(view)]
        if not tracked.entries.numel():  # of a parameter itself; made when it is needed
            whole = self.named[tracked.name]
            size = whole.untyped_storage().nbytes() // whole.element_size()
            tracked.entries = torch.full((size,), -1, dtype=torch.int64)
            tracked.of(whole).copy_(torch.arange(whole.numel()).view(whole.shape))
        return tracked

    def _follow(self, weights: list[Tensor], outputs: list[Tensor]) -> None:
        """What is made of one weight alone, entry by entry, is the weight still."""
        for output in outputs:
            if _memory(output) in self.tracked:
                continue  # a view
            same = [w for w in weights if w.shape == output.shape]
            if same:
                tracked = self._of(same[-1])
                size = output.untyped_storage().nbytes() // output.element_size()
                entries = torch.full((size,), -1, dtype=torch.int64)
                copied = _Tracked(tracked.name, entries)
                copied.of(output).copy_(tracked.of(same[-1]))
                self.tracked[_memory(output)] = copied
                self.alive.append(output)


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _simplest(uses: Tensor) -> Uses:
    first = uses.flatten()[0]
    return int(first) if bool((uses == first).all()) else uses
