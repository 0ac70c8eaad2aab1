"""The table of layer kinds: which tensors of a layer are kernels, and what each is.

Kernels are what is pruned. Initialization, prunability, costs, structured pruning and reports of
channels all ask here. Layers that are not in the table, such as normalizations, activations and a
user's own, have none: their parameters have the values that their author gives them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

CONVOLUTION, TRANSPOSED, LINEAR = "convolution", "transposed convolution", "linear"
BILINEAR, EMBEDDING, RECURRENT, CELL = "bilinear", "embedding", "recurrent", "recurrent cell"
ATTENTION = "attention"

# How often one example uses each entry of a tensor: a number, or int64 that broadcasts to it.
Uses = int | Tensor
Arguments = tuple[tuple[Any, ...], Mapping[str, Any]]

NORMS = (
    nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm
)  # fmt: skip


@dataclass(frozen=True)
class Kernel:
    """A tensor of a layer that is pruned.

    Attributes:
        fan_in: how many numbers an output is a sum over. Strides do not count.
        fan_out: how many outputs a number goes into; of a convolution in groups those of all
            groups, as torch counts.
        outputs: the axis of the outputs, or filters.
        groups: into which a transposed convolution's first axis falls.
    """

    fan_in: int
    fan_out: int
    outputs: int = 0
    groups: int = 1


@dataclass(frozen=True)
class Kind:
    """A kind of layer.

    Attributes:
        name: what it is called.
        types: of torch.
        kernels: the kernels of a layer, by attribute.
        uses: of a layer, what it was called with and what it gave: :data:`Uses` by attribute.
        biases: attributes of its biases, as far as it has them.
    """

    name: str
    types: tuple[type[nn.Module], ...]
    kernels: Callable[[Any], dict[str, Kernel]]
    uses: Callable[[Any, Arguments, Any], dict[str, Uses]]
    biases: Callable[[Any], tuple[str, ...]] = lambda layer: ("bias",)


def _convolution(layer: Any) -> dict[str, Kernel]:
    area = prod(layer.kernel_size)
    inputs, outputs = layer.in_channels // layer.groups, layer.out_channels
    return {"weight": Kernel(inputs * area, outputs * area)}


def _convolution_uses(layer: Any, given: Arguments, made: Tensor) -> dict[str, Uses]:
    # Of the output's own size: a gated layer gives more channels than it makes.
    return {"weight": made.numel() // made.shape[-1 - len(layer.kernel_size)]}


def _transposed(layer: Any) -> dict[str, Kernel]:
    """Of shape (inputs, outputs / groups, ...)."""
    kernel = _convolution(layer)["weight"]
    return {"weight": Kernel(kernel.fan_in, kernel.fan_out, outputs=1, groups=layer.groups)}


def _transposed_uses(layer: Any, given: Arguments, made: Tensor) -> dict[str, Uses]:
    """Once for each place of the input; what falls over the edges counts too."""
    x = _argument(given, 0, "input")
    return {"weight": x.numel() // x.shape[-1 - len(layer.kernel_size)]}


def _linear(layer: Any) -> dict[str, Kernel]:
    return {"weight": Kernel(layer.in_features, layer.out_features)}


def _positions(layer: Any, given: Arguments, made: Tensor) -> dict[str, Uses]:
    return {"weight": made.numel() // made.shape[-1]}


def _bilinear(layer: Any) -> dict[str, Kernel]:
    pairs = layer.in1_features * layer.in2_features
    return {"weight": Kernel(pairs, layer.out_features * layer.in2_features)}


def _embedding(layer: Any) -> dict[str, Kernel]:
    """A row is picked, so an output is one number."""
    return {"weight": Kernel(1, layer.embedding_dim, outputs=1)}


def _recurrent(layer: Any) -> dict[str, Kernel]:
    """Each gate is a matrix of its own; they lie one above the other."""
    found = {}
    for name, weight in layer.named_parameters(recurse=False):
        if name.startswith("weight_"):
            outputs = weight.shape[0] if name.startswith("weight_hr") else layer.hidden_size
            found[name] = Kernel(weight.shape[1], outputs)
    return found


def _sequence_uses(layer: Any, given: Arguments, made: Any) -> dict[str, Uses]:
    """Once for each time step of each sequence."""
    output = made[0]
    output = output if isinstance(output, Tensor) else output.data  # packed sequences
    return dict.fromkeys(_recurrent(layer), output.numel() // output.shape[-1])


def _cell_uses(layer: Any, given: Arguments, made: Any) -> dict[str, Uses]:
    hidden = made if isinstance(made, Tensor) else made[0]
    return dict.fromkeys(_recurrent(layer), hidden.numel() // hidden.shape[-1])


def _attention(layer: Any) -> dict[str, Kernel]:
    """Projections of queries, keys and values, perhaps one above the other; that of the output is
    a linear layer by itself."""
    if layer.in_proj_weight is not None:
        return {"in_proj_weight": Kernel(layer.embed_dim, layer.embed_dim)}
    sizes = {"q": layer.embed_dim, "k": layer.kdim, "v": layer.vdim}
    return {f"{n}_proj_weight": Kernel(size, layer.embed_dim) for n, size in sizes.items()}


def _attention_uses(layer: Any, given: Arguments, made: Any) -> dict[str, Uses]:
    """Once for each position; the products of queries, keys and values have no weights."""
    query, key, value = (
        x.numel() // x.shape[-1]
        for x in (_argument(given, i, n) for i, n in enumerate(("query", "key", "value")))
    )
    out = {"out_proj.weight": query}  # used without calling that layer
    if layer.in_proj_weight is None:
        return {"q_proj_weight": query, "k_proj_weight": key, "v_proj_weight": value, **out}
    if query == key == value:
        return {"in_proj_weight": query, **out}
    rows = torch.tensor([query, key, value]).repeat_interleave(layer.embed_dim)
    return {"in_proj_weight": rows[:, None], **out}


def _argument(given: Arguments, place: int, name: str) -> Tensor:
    positional, named = given
    return positional[place] if len(positional) > place else named[name]


KINDS = (
    Kind(
        TRANSPOSED, (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
        _transposed, _transposed_uses,
    ),
    Kind(CONVOLUTION, (nn.Conv1d, nn.Conv2d, nn.Conv3d), _convolution, _convolution_uses),
    Kind(LINEAR, (nn.Linear,), _linear, _positions),
    Kind(BILINEAR, (nn.Bilinear,), _bilinear, _positions),
    Kind(
        EMBEDDING, (nn.Embedding, nn.EmbeddingBag),
        _embedding, lambda layer, given, made: {"weight": 0}, lambda layer: (),
    ),
    Kind(
        RECURRENT, (nn.RNNBase,), _recurrent, _sequence_uses,
        lambda layer: tuple(n for n, _ in layer.named_parameters() if n.startswith("bias_")),
    ),
    Kind(
        CELL, (nn.RNNCellBase,), _recurrent, _cell_uses, lambda layer: ("bias_ih", "bias_hh")
    ),
    Kind(
        ATTENTION, (nn.MultiheadAttention,), _attention, _attention_uses,
        lambda layer: ("in_proj_bias", "bias_k", "bias_v"),
    ),
)  # fmt: skip


def kind_of(layer: nn.Module) -> Kind | None:
    """The row of a layer; None for one that has no kernels, or that is a user's own."""
    return next((kind for kind in KINDS if isinstance(layer, kind.types)), None)


def is_kind(layer: nn.Module, *names: str) -> bool:
    """Whether a layer is of one of these kinds, by name."""
    kind = kind_of(layer)
    return kind is not None and kind.name in names


def kernels(layer: nn.Module) -> dict[str, Kernel]:
    """A layer's own kernels by attribute; none of a layer that is not in the table."""
    kind = kind_of(layer)
    return {} if kind is None else kind.kernels(layer)


def biases(layer: nn.Module) -> list[str]:
    """Attributes of a layer's own biases; of one that is not in the table what is called so."""
    kind = kind_of(layer)
    named = ("bias",) if kind is None else kind.biases(layer)
    return [name for name in named if isinstance(layer._parameters.get(name), Tensor)]


def named_kernels(module: nn.Module) -> Iterator[tuple[str, nn.Module, str, Kernel]]:
    """(full name, layer, attribute, kernel) of all layers, in module order, layers once."""
    for prefix, layer in module.named_modules():
        for attribute, kernel in kernels(layer).items():
            yield inside(prefix, attribute), layer, attribute, kernel


def inside(prefix: str, attribute: str) -> str:
    """The full name of what a layer has."""
    return f"{prefix}.{attribute}" if prefix else attribute


def channels_last(module: nn.Module) -> nn.Module:
    """A network in the memory layout of its images, in place; others than those have no such."""
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.ndim == 4:
            tensor.data = tensor.data.to(memory_format=torch.channels_last)
    return module


def outputs_first(tensor: Tensor, kernel: Kernel) -> Tensor:
    """A kernel, or a mask of it, with a row for each output, or filter."""
    if kernel.outputs == 0:
        return tensor
    inputs, outputs, *area = tensor.shape
    parts = tensor.reshape(kernel.groups, inputs // kernel.groups, outputs, *area)
    return parts.transpose(1, 2).reshape(kernel.groups * outputs, -1, *area)
