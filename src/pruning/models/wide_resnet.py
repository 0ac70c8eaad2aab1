"""Wide residual networks (Zagoruyko & Komodakis 2016): 6n+4 layers, pre-activation blocks."""

import torch
from torch import Tensor, nn

from pruning.option_types import BelowOne, Positive

WIDTHS = (16, 32, 64)


class PreActivationBlock(nn.Module):
    """Batch norm and ReLU before each of two 3x3 convolutions, and a shortcut.

    A shortcut with weights is a 1x1 convolution of the activated input, without batch norm.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int, dropout: float, norm: dict[str, float]
    ) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs, **norm)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs, **norm)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.shortcut = None
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        activated = self.norm1(x).relu()
        y = self.conv1(activated)
        y = self.conv2(self.dropout(self.norm2(y).relu()))
        return y + (x if self.shortcut is None else self.shortcut(activated))


class WideResNet(nn.Module):
    """Stem, three stages of ``blocks`` blocks, batch norm, average pooling, one linear layer."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int,
        blocks: int,
        widening: float,
        dropout: float,
        norm: dict[str, float],
        classifier_bias: bool,
    ) -> None:
        super().__init__()
        inputs, stages = WIDTHS[0], []
        self.conv = nn.Conv2d(shape[0], inputs, 3, padding=1, bias=False)
        for index, width in enumerate(WIDTHS):
            outputs, layers = max(1, round(widening * width)), []
            for block in range(blocks):
                stride = 2 if index and not block else 1
                layers.append(PreActivationBlock(inputs, outputs, stride, dropout, norm))
                inputs = outputs
            stages.append(nn.Sequential(*layers))
        self.stages = nn.Sequential(*stages)
        self.norm = nn.BatchNorm2d(inputs, **norm)
        self.fc = nn.Linear(inputs, classes, bias=classifier_bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.stages(self.conv(x))).relu()
        return self.fc(torch.mean(x, dim=(2, 3)))


def wide_resnet28(
    shape: tuple[int, int, int],
    classes: int,
    widening: Positive = 2,
    dropout: BelowOne = 0.0,
    bn_momentum: float = 0.1,
    bn_eps: Positive = 1e-5,
    norm_affine: bool = True,
    classifier_bias: bool = True,
) -> nn.Module:
    """WRN-28: 1,463,984 prunable weights at a widening of 2 with 10 classes.

    Args:
        shape, classes: of the data.
        widening: multiplies the channels of the stages; the stem has 16.
        dropout: share that is dropped between the convolutions of a block.
        bn_momentum, bn_eps: of batch norm, in torch's convention.
        norm_affine: whether batch norm learns scales and shifts.
        classifier_bias: whether the linear layer has biases.
    """
    norm = {"momentum": bn_momentum, "eps": bn_eps, "affine": norm_affine}
    return WideResNet(shape, classes, (28 - 4) // 6, widening, dropout, norm, classifier_bias)
