"""MobileNet-V2 (Sandler et al. 2018) for images of 32x32, in the form that CIFAR studies use.

The stem and the second stage keep the size of the image, activations are plain ReLUs, and a block
of stride 1 whose channels change has a convolution in its shortcut instead of none.
"""

import torch
from torch import Tensor, nn

from pruning.models.resnet import projection
from pruning.option_types import Positive

STEM, LAST = 32, 1280
# Of each stage: expansion, channels, blocks, stride of the first block (Sandler et al., table 2).
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise and 1x1 linear convolution; a shortcut where the stride is 1."""

    def __init__(
        self, inputs: int, outputs: int, expansion: int, stride: int, norm: dict[str, float]
    ) -> None:
        super().__init__()
        inner = expansion * inputs
        self.conv1 = nn.Conv2d(inputs, inner, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(inner, **norm)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, padding=1, groups=inner, bias=False)
        self.norm2 = nn.BatchNorm2d(inner, **norm)
        self.conv3 = nn.Conv2d(inner, outputs, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(outputs, **norm)
        self.shortcut = None
        if stride == 1:
            same = inputs == outputs
            self.shortcut = nn.Identity() if same else projection(inputs, outputs, 1, norm)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y)).relu()
        y = self.norm3(self.conv3(y))
        return y if self.shortcut is None else y + self.shortcut(x)


class MobileNetV2(nn.Module):
    """Stem, stages as listed in :data:`STAGES`, a 1x1 convolution, pooling, one linear layer."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int,
        width: float,
        norm: dict[str, float],
        classifier_bias: bool,
    ) -> None:
        super().__init__()

        def wide(channels: int) -> int:
            return max(1, round(width * channels))

        inputs = wide(STEM)
        self.conv = nn.Conv2d(shape[0], inputs, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(inputs, **norm)
        stages = []
        for expansion, channels, blocks, stride in STAGES:
            outputs, layers = wide(channels), []
            for index in range(blocks):
                first = stride if index == 0 else 1
                layers.append(InvertedResidual(inputs, outputs, expansion, first, norm))
                inputs = outputs
            stages.append(nn.Sequential(*layers))
        self.stages = nn.Sequential(*stages)
        self.last_conv = nn.Conv2d(inputs, wide(LAST), 1, bias=False)
        self.last_norm = nn.BatchNorm2d(wide(LAST), **norm)
        self.fc = nn.Linear(wide(LAST), classes, bias=classifier_bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages(self.norm(self.conv(x)).relu())
        x = self.last_norm(self.last_conv(x)).relu()
        return self.fc(torch.mean(x, dim=(2, 3)))


def mobilenet_v2(
    shape: tuple[int, int, int],
    classes: int,
    width: Positive = 1.0,
    bn_momentum: float = 0.1,
    bn_eps: Positive = 1e-5,
    norm_affine: bool = True,
    classifier_bias: bool = True,
) -> nn.Module:
    """MobileNet-V2 for CIFAR: 2,261,824 prunable weights with 10 classes.

    Args:
        shape, classes: of the data.
        width: multiplies the channels of every layer.
        bn_momentum, bn_eps: of batch norm, in torch's convention.
        norm_affine: whether batch norm learns scales and shifts.
        classifier_bias: whether the linear layer has biases.
    """
    norm = {"momentum": bn_momentum, "eps": bn_eps, "affine": norm_affine}
    return MobileNetV2(shape, classes, width, norm, classifier_bias)
