"""Where the bodies of a network's residual blocks end, found by following its data flow.

A residual block adds what a body of layers makes of its input to that input, or to what fewer
layers make of it. Shapes do not matter, so nothing is run.
"""

from dataclasses import dataclass, field
from typing import Any

from torch import fx, nn

from pruning.errors import PruningError
from pruning.models import layers
from pruning.models.channels import ADDITIONS, Tracer


def last_norms(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """(name, layer) of the normalization that ends each body, in the order of the forward pass.

    Of the two tensors that a block adds, the body's is the one behind more layers with kernels.

    Args:
        module: the network; left as it was.

    Raises:
        PruningError: the network cannot be traced; it has no residual block; a sum that is not one,
            as far as can be seen; a body that ends in no normalization with a scale, or in one that
            is used elsewhere too.
    """
    training = module.training
    try:
        graph = Tracer().trace(module.eval())
    except Exception as error:  # whatever a network's own code raises when it is traced
        raise PruningError(
            f"The residual blocks of this network cannot be found: {' '.join(str(error).split())}. "
            "Its forward pass must not depend on values, as torch.fx traces it."
        ) from error
    finally:
        module.train(training)
    named = dict(module.named_modules())
    used = [named[node.target] for node in graph.nodes if node.op == "call_module"]
    ends = {name: named[name] for node in graph.nodes for name in _end_of_body(node, named)}
    if not ends:
        raise PruningError("This network has no residual block: nothing in it is added up.")
    for name, layer in ends.items():
        if sum(other is layer for other in used) > 1:
            raise PruningError(f"{name} ends a residual block, and is used elsewhere too.")
    return list(ends.items())


@dataclass
class _Path:
    """What a tensor went through, back to where something else reads it too.

    Attributes:
        start: what it comes from.
        calls: of modules with tensors of their own, the last first.
        kernels: how many of these have kernels.
    """

    start: Any
    calls: list[str] = field(default_factory=list)
    kernels: int = 0


def _end_of_body(node: fx.Node, named: dict[str, nn.Module]) -> list[str]:
    """The name of the normalization before a sum; empty for what adds no two tensors."""
    ends = [a for a in (*node.args, *node.kwargs.values()) if isinstance(a, fx.Node)]
    if node.target not in ADDITIONS or len(ends) != 2:
        return []
    short, body = sorted((_path(end, named) for end in ends), key=lambda path: path.kernels)
    if short.start is not body.start or short.kernels == body.kernels:
        raise PruningError(
            f"{node.name} adds two tensors, but which of them is the body of a residual block "
            "cannot be seen: neither is made of the block's input by more layers than the other, "
            "one after the other."
        )
    layer = named[body.calls[0]]
    if not isinstance(layer, layers.NORMS) or getattr(layer, "weight", None) is None:
        raise PruningError(
            f"The residual block that ends in {body.calls[0]} has no normalization with a scale at "
            "the end of its body."
        )
    return [body.calls[0]]


def _path(node: fx.Node, named: dict[str, nn.Module]) -> _Path:
    path = _Path(node)
    while len(node.all_input_nodes) == 1 and len(node.users) == 1:
        if node.op == "call_module":
            layer = named[node.target]
            if any(True for _ in layer.parameters()):
                path.calls.append(node.target)
            path.kernels += bool(layers.kernels(layer))
        node = path.start = node.all_input_nodes[0]
    return path
