"""CIFAR residual networks of bottleneck blocks.

The blocks are ImageNet's (He et al. 2016, section 4.1), on the stem and in the three stages of
section 4.2.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pruning.models.resnet_imagenet import Bottleneck
from pruning.option_types import Count, Positive

BLOCKS = 8  # of each stage


class BottleneckResNet(nn.Module):
    """Stem, three stages of ``blocks`` bottlenecks, global average pooling, one linear layer.

    ``widths`` are the inner channels of each stage's blocks, which put out four times as many; the
    first block of a stage has a projection. The stem is as wide as the first stage's inside.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int,
        blocks: int,
        widths: Sequence[int],
        norm: dict[str, float],
        classifier_bias: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(shape[0], widths[0], 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(widths[0], **norm)
        stages, inputs = [], widths[0]
        for index, width in enumerate(widths):
            stride, outputs = 1 if index == 0 else 2, Bottleneck.expansion * width
            first = Bottleneck(inputs, width, stride, True, norm)
            rest = [Bottleneck(outputs, width, 1, False, norm) for _ in range(blocks - 1)]
            stages.append(nn.Sequential(first, *rest))
            inputs = outputs
        self.stages = nn.Sequential(*stages)
        self.fc = nn.Linear(inputs, classes, bias=classifier_bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages(self.norm(self.conv(x)).relu())
        return self.fc(torch.mean(x, dim=(2, 3)))


def resnet50_bottleneck(
    shape: tuple[int, int, int],
    classes: int,
    widths: Sequence[Count] = (16, 32, 64),
    bn_momentum: float = 0.1,
    bn_eps: Positive = 1e-5,
    norm_affine: bool = True,
    classifier_bias: bool = True,
) -> nn.Module:
    """What studies of CIFAR call ResNet-50: 24 bottlenecks, so 74 layers with stem and classifier.

    Args:
        shape, classes: of the data.
        widths: inner channels of the blocks of the three stages.
        bn_momentum, bn_eps: of batch norm, in torch's convention.
        norm_affine: whether batch norm learns scales and shifts.
        classifier_bias: whether the linear layer has biases.
    """
    norm = {"momentum": bn_momentum, "eps": bn_eps, "affine": norm_affine}
    return BottleneckResNet(shape, classes, BLOCKS, widths, norm, classifier_bias)
