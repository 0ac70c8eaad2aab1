"""CIFAR residual networks (He et al. 2016, section 4.2): 6n+2 layers, v1 post-activation blocks."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from pruning.errors import PruningError
from pruning.option_types import Count, Positive

SHORTCUTS = ("all_stages", "projection", "identity")


def projection(inputs: int, outputs: int, stride: int, norm: dict[str, float]) -> nn.Module:
    """A shortcut with weights: a 1x1 convolution and batch norm (He et al.'s option B)."""
    conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs, **norm))


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(
        self, inputs: int, outputs: int, stride: int, project: bool, norm: dict[str, float]
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs, **norm)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs, **norm)
        self.stride, self.added = stride, outputs - inputs
        self.shortcut = None
        if project:
            self.shortcut = projection(inputs, outputs, stride, norm)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y))
        return (y + self._skip(x)).relu()

    def _skip(self, x: Tensor) -> Tensor:
        if self.shortcut is not None:
            return self.shortcut(x)
        if self.stride == 1 and self.added == 0:
            return x
        # He et al.'s option A: subsample and pad with zero channels, no weights.
        x = x[:, :, :: self.stride, :: self.stride]
        return nn.functional.pad(x, (0, 0, 0, 0, self.added // 2, self.added - self.added // 2))


class ResNet(nn.Module):
    """Stem, three stages of ``blocks`` blocks, global average pooling, one linear layer."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int,
        blocks: int,
        widths: Sequence[int],
        shortcut: str,
        norm: dict[str, float],
        classifier_bias: bool = True,
    ) -> None:
        super().__init__()
        if shortcut not in SHORTCUTS:
            raise PruningError(f"A ResNet's shortcut is one of {SHORTCUTS}, not {shortcut!r}.")
        self.conv = nn.Conv2d(shape[0], widths[0], 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(widths[0], **norm)
        stages, inputs = [], widths[0]
        for index, outputs in enumerate(widths):
            stride = 1 if index == 0 else 2
            changes = stride != 1 or inputs != outputs
            project = shortcut == "all_stages" or (shortcut == "projection" and changes)
            first = Block(inputs, outputs, stride, project, norm)
            rest = [Block(outputs, outputs, 1, False, norm) for _ in range(blocks - 1)]
            stages.append(nn.Sequential(first, *rest))
            inputs = outputs
        self.stages = nn.Sequential(*stages)
        self.fc = nn.Linear(inputs, classes, bias=classifier_bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages(self.norm(self.conv(x)).relu())
        return self.fc(torch.mean(x, dim=(2, 3)))


def _variant(depth: int):  # noqa: ANN202 - a factory with the signature below
    def make(
        shape: tuple[int, int, int],
        classes: int,
        widths: Sequence[Count] = (16, 32, 64),
        shortcut: Literal["projection", "all_stages", "identity"] = "projection",
        bn_momentum: float = 0.1,
        bn_eps: Positive = 1e-5,
        norm_affine: bool = True,
        classifier_bias: bool = True,
    ) -> nn.Module:
        norm = {"momentum": bn_momentum, "eps": bn_eps, "affine": norm_affine}
        return ResNet(shape, classes, (depth - 2) // 6, widths, shortcut, norm, classifier_bias)

    make.__name__ = make.__qualname__ = f"resnet{depth}"
    make.__doc__ = f"""CIFAR ResNet-{depth}.

    Args:
        shape, classes: of the data.
        widths: channels of the three stages.
        shortcut: ``projection``: 1x1 convolution where the shape changes (He et al.'s option B);
            ``all_stages``: in every stage's first block, stage 1 included (Renda et al.);
            ``identity``: option A, no weights.
        bn_momentum, bn_eps: of batch norm, in torch's convention (TensorFlow's 0.997 is 0.003).
        norm_affine: whether batch norm learns scales and shifts.
        classifier_bias: whether the linear layer has biases.
    """
    return make


resnet8 = _variant(8)
resnet20 = _variant(20)
resnet32 = _variant(32)
resnet44 = _variant(44)
resnet56 = _variant(56)
resnet110 = _variant(110)
