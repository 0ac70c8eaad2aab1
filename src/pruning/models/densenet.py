"""CIFAR DenseNets (Huang et al. 2017, section 3): 3n+4 layers, no bottleneck, no compression."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from pruning.errors import PruningError
from pruning.option_types import Count, Positive

BLOCKS = 3


class DenseLayer(nn.Module):
    """Batch norm, ReLU and a 3x3 convolution, whose output is put behind the input."""

    def __init__(self, inputs: int, growth: int, norm: dict[str, float]) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs, **norm)
        self.conv = nn.Conv2d(inputs, growth, 3, padding=1, bias=False)
        # Named as in residual blocks: here too, others read what passes by, and no filter of a
        # layer before can go alone.
        self.shortcut = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.shortcut(x), self.conv(self.norm(x).relu())), dim=1)


class Transition(nn.Module):
    """Batch norm, ReLU and a 1x1 convolution that keeps the channels, then 2x2 average pooling."""

    def __init__(self, channels: int, norm: dict[str, float]) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, **norm)
        self.conv = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(self.conv(self.norm(x).relu()), 2)


def densenet(
    shape: tuple[int, int, int],
    classes: int,
    depth: int,
    growth: int,
    stem_width: int,
    norm: dict[str, float],
    classifier_bias: bool = True,
) -> nn.Sequential:
    """Stem, three dense blocks with transitions between, global average pooling, one linear layer.

    Layers with weights are named ``conv``, ``block1.layer1``, ``block1.layer2``, ...,
    ``transition1``, ``block2.layer1``, ..., ``norm`` and ``fc``.

    Args:
        shape: (C, H, W) of the images.
        classes: number of outputs.
        depth: 3n+4 for n layers in each block.
        growth: channels that each layer of a block adds (k).
        stem_width: channels of the first convolution.
        norm: what batch norms take.
        classifier_bias: whether the linear layer has biases.

    Raises:
        PruningError: a growth or stem width below 1, or images smaller than 4x4.
    """
    channels, height, width = shape
    if min(height, width) < 4:
        raise PruningError(
            f"DenseNet-{depth} needs images of at least 4x4, these are {width}x{height}."
        )
    for name, value in (("growth", growth), ("stem_width", stem_width)):
        if value < 1:
            raise PruningError(f"A DenseNet's {name} is at least 1, not {value}.")
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    parts["conv"] = nn.Conv2d(channels, stem_width, 3, padding=1, bias=False)
    channels = stem_width
    for block in range(1, BLOCKS + 1):
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for layer in range(1, (depth - 4) // BLOCKS + 1):
            layers[f"layer{layer}"] = DenseLayer(channels, growth, norm)
            channels += growth
        parts[f"block{block}"] = nn.Sequential(layers)
        if block < BLOCKS:
            parts[f"transition{block}"] = Transition(channels, norm)
    parts["norm"] = nn.BatchNorm2d(channels, **norm)
    parts["relu"] = nn.ReLU()
    parts["pool"] = nn.AdaptiveAvgPool2d(1)
    parts["flatten"] = nn.Flatten()
    parts["fc"] = nn.Linear(channels, classes, bias=classifier_bias)
    return nn.Sequential(parts)


def _variant(depth: int):  # noqa: ANN202 - a factory with the signature below
    def make(
        shape: tuple[int, int, int],
        classes: int,
        growth: Count = 12,
        stem_width: Count = 16,
        bn_momentum: float = 0.1,
        bn_eps: Positive = 1e-5,
        norm_affine: bool = True,
        classifier_bias: bool = True,
    ) -> nn.Module:
        norm = {"momentum": bn_momentum, "eps": bn_eps, "affine": norm_affine}
        return densenet(shape, classes, depth, growth, stem_width, norm, classifier_bias)

    make.__name__ = make.__qualname__ = f"densenet{depth}"
    make.__doc__ = f"""CIFAR DenseNet-{depth}, without dropout.

    Args:
        shape, classes: of the data.
        growth: channels that each layer of a dense block adds (k).
        stem_width: channels of the first convolution.
        bn_momentum, bn_eps: of batch norm, in torch's convention.
        norm_affine: whether batch norm learns scales and shifts.
        classifier_bias: whether the linear layer has biases.

    Raises:
        PruningError: a growth or stem width below 1, or images smaller than 4x4.
    """
    return make


densenet40 = _variant(40)
