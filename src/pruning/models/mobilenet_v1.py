"""MobileNet (Howard et al. 2017): depthwise-separable convolutions with batch norm and ReLU."""

from typing import Literal

import torch
from torch import Tensor, nn

from pruning.errors import PruningError
from pruning.models.resnet_imagenet import STEMS
from pruning.option_types import Positive

STEM = 32
# Channels and stride of each separable convolution (Howard et al., table 1). The last one's stride
# is printed as 2 there, with outputs as large as inputs; it is 1.
LAYERS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *5 * ((512, 1),),
    (1024, 2),
    (1024, 1),
)


class SeparableConvolution(nn.Module):
    """A 3x3 depthwise and a 1x1 convolution, each with batch norm and ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: dict[str, float]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, inputs, 3, stride, padding=1, groups=inputs, bias=False)
        self.norm1 = nn.BatchNorm2d(inputs, **norm)
        self.conv2 = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs, **norm)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm1(self.conv1(x)).relu()
        return self.norm2(self.conv2(x)).relu()


class MobileNet(nn.Module):
    """Stem, layers as listed in :data:`LAYERS`, global average pooling, one linear layer."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int,
        width: float,
        stem: str,
        norm: dict[str, float],
        classifier_bias: bool,
    ) -> None:
        super().__init__()
        if stem not in STEMS:
            raise PruningError(f"The stem of a MobileNet is one of {STEMS}, not {stem!r}.")
        inputs = max(1, round(width * STEM))
        stride = 2 if stem == "imagenet" else 1
        self.conv = nn.Conv2d(shape[0], inputs, 3, stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(inputs, **norm)
        layers = []
        for channels, stride in LAYERS:
            outputs = max(1, round(width * channels))
            layers.append(SeparableConvolution(inputs, outputs, stride, norm))
            inputs = outputs
        self.layers = nn.Sequential(*layers)
        self.fc = nn.Linear(inputs, classes, bias=classifier_bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layers(self.norm(self.conv(x)).relu())
        return self.fc(torch.mean(x, dim=(2, 3)))


def mobilenet(
    shape: tuple[int, int, int],
    classes: int,
    width: Positive = 1.0,
    stem: Literal["imagenet", "small"] = "imagenet",
    bn_momentum: float = 0.1,
    bn_eps: Positive = 1e-5,
    norm_affine: bool = True,
    classifier_bias: bool = True,
) -> nn.Module:
    """MobileNet, for images of any size: 4,209,088 prunable weights with 1000 classes.

    Args:
        shape, classes: of the data.
        width: multiplies the channels of every layer.
        stem: ``imagenet``: 3x3 convolution of stride 2; ``small``: of stride 1, for images of 32x32
            or 64x64.
        bn_momentum, bn_eps: of batch norm, in torch's convention.
        norm_affine: whether batch norm learns scales and shifts.
        classifier_bias: whether the linear layer has biases.

    Raises:
        PruningError: an unknown stem.
    """
    norm = {"momentum": bn_momentum, "eps": bn_eps, "affine": norm_affine}
    return MobileNet(shape, classes, width, stem, norm, classifier_bias)
