"""What training and using a network costs, counted as the authors of PruneTrain count it.

Multiply-accumulates (MACs) of convolution and linear layers; FLOPs are twice as many. Batch norm,
activations, pooling and biases cost no MACs. Everything is per example and read off a module, so
that a network whose channels were cut costs what is left of it.

Differs from :mod:`pruning.models.cost` in training: there it costs three forward passes, which is
exact; here a convolution's gradient by its input is charged at the size of the padded *input*, so
that one of stride 2 costs about four times as much there. Percentages of the two differ.

Source: ``calc_cost.py`` of the authors' code (reference, section 1.8).
"""

from dataclasses import dataclass
from math import prod
from typing import Literal

import torch
from torch import Tensor, nn

from pruning.errors import PruningError
from pruning.models.layers import CONVOLUTION, LINEAR, is_kind, kind_of

# How often batch norm moves as many elements as it has: thrice forward and five times backward.
NORM_ACCESSES = 8
# What training adds to a side of a convolution's input, by kernel size: 0 of 1 and 2 of 3, which is
# the padding of both ends, but 3 of 7. Other sizes are our reading: as of 1 and 3, the size less 1.
MARGINS = {7: 3}


@dataclass(frozen=True)
class LayerCost:
    """A convolution or linear layer, as it was used on one example.

    Attributes:
        name: of the module.
        kind: ``conv`` or ``linear``.
        inputs, outputs: channels, or units.
        kernel: height and width, or as many sides as images have; (1, 1) of a linear layer.
        groups: of a convolution; 1 of a linear layer.
        input_size, output_size: height and width of the images; of a linear layer, positions (1
            without a sequence) and 1.
    """

    name: str
    kind: Literal["conv", "linear"]
    inputs: int
    outputs: int
    kernel: tuple[int, ...]
    groups: int
    input_size: tuple[int, ...]
    output_size: tuple[int, ...]

    @property
    def weights(self) -> int:
        """Number of weights. The authors' formulas have no groups: dividing by them, here and so in
        all costs, is our reading.
        """
        return self.outputs * (self.inputs // self.groups) * prod(self.kernel)

    @property
    def margins(self) -> tuple[int, ...]:
        """What the cost of training adds to the sides of the input."""
        return tuple(MARGINS.get(side, side - 1) for side in self.kernel)

    @property
    def inference_macs(self) -> int:
        """MACs of a forward pass."""
        return self.weights * prod(self.output_size)

    @property
    def training_macs(self) -> int:
        """MACs of a forward and a backward pass."""
        if self.kind == "linear":
            return 3 * self.inference_macs
        padded = map(sum, zip(self.input_size, self.margins, strict=True))
        return 2 * self.inference_macs + self.weights * prod(padded)

    @property
    def output_elements(self) -> int:
        """Number of the outputs."""
        return self.outputs * prod(self.output_size)


@dataclass(frozen=True)
class Costs:
    """A network's costs on one example.

    Attributes:
        inference_macs, training_macs: of a forward pass, and of a forward and a backward pass.
        norm_traffic: elements that batch norms move to and from memory in one training step.
        activations: elements that convolutions put out.
        model_elements: weights and one more element per output of convolution and linear layers,
            which is what the authors call the size of a model.
        parameters: all parameters that there are.
        out_channels: of all convolutions.
    """

    inference_macs: int
    training_macs: int
    norm_traffic: int
    activations: int
    model_elements: int
    parameters: int
    out_channels: int


def layers(module: nn.Module, example: tuple[Tensor, ...]) -> list[LayerCost]:
    """Convolution and linear layers in the order of the forward pass, as often as each is used.

    Args:
        module: the network; it is left as it was.
        example: what the network takes, a batch of one, where the network is.
    """
    return _measure(module, example)[0]


def totals(module: nn.Module, example: tuple[Tensor, ...]) -> Costs:
    """A network's costs on one example; arguments as of :func:`layers`."""
    used, normalized = _measure(module, example)
    convolutions = [layer for layer in used if layer.kind == "conv"]
    # A layer that is used twice has its weights once.
    single = {layer.name: layer for layer in used}.values()
    return Costs(
        inference_macs=sum(layer.inference_macs for layer in used),
        training_macs=sum(layer.training_macs for layer in used),
        norm_traffic=NORM_ACCESSES * normalized,
        activations=sum(layer.output_elements for layer in convolutions),
        model_elements=sum(layer.weights + layer.outputs for layer in single),
        parameters=sum(p.numel() for p in module.parameters()),
        out_channels=sum(layer.outputs for layer in single if layer.kind == "conv"),
    )


def refuse_uncounted(module: nn.Module) -> None:
    """Refuse a network whose costs are not those of its convolutions and linear layers.

    Raises:
        PruningError: layers of other kinds; the message names them.
    """
    others = [
        f"{name} ({kind.name})"
        for name, layer in module.named_modules()
        if (kind := kind_of(layer)) is not None and kind.name not in (CONVOLUTION, LINEAR)
    ]
    if others:
        raise PruningError(
            "PruneTrain counts the costs of convolutions and linear layers alone, and this network "
            f"has {', '.join(others)}."
        )


def _measure(module: nn.Module, example: tuple[Tensor, ...]) -> tuple[list[LayerCost], int]:
    """Layers as they are used, and the number of elements that batch norms normalize."""
    used: list[LayerCost] = []
    normalized: list[int] = []

    def note(name: str, layer: nn.Module, given: Tensor, output: Tensor) -> None:
        if is_kind(layer, CONVOLUTION):
            used.append(_convolution(name, layer, given, output))
        elif is_kind(layer, LINEAR):
            used.append(_linear(name, layer, output))
        else:
            normalized.append(given.numel())  # a gated one gives more than it normalizes

    hooks = [
        layer.register_forward_hook(
            lambda layer, given, output, name=name: note(name, layer, given[0], output)
        )
        for name, layer in module.named_modules()
        if is_kind(layer, CONVOLUTION, LINEAR) or isinstance(layer, nn.modules.batchnorm._NormBase)
    ]
    training = module.training
    try:
        with torch.no_grad():
            module.eval()(*example)
    finally:
        module.train(training)
        for hook in hooks:
            hook.remove()
    return used, sum(normalized)


def _convolution(name: str, layer: nn.Module, given: Tensor, output: Tensor) -> LayerCost:
    return LayerCost(
        name=name,
        kind="conv",
        inputs=given.shape[1],
        outputs=layer.weight.shape[0],
        kernel=tuple(layer.weight.shape[2:]),
        groups=layer.groups,
        input_size=tuple(given.shape[2:]),
        output_size=tuple(output.shape[2:]),
    )


def _linear(name: str, layer: nn.Linear, output: Tensor) -> LayerCost:
    outputs, inputs = layer.weight.shape
    positions = (output.numel() // outputs, 1)
    return LayerCost(name, "linear", inputs, outputs, (1, 1), 1, positions, positions)
