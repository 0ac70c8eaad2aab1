"""Residual networks for ImageNet (He et al. 2016, section 4.1), in the form torchvision's have.

Bottlenecks have their stride in the 3x3 convolution. Modules come in torchvision's order, so that
its weights fit when they are copied over one by one.
"""

from typing import Literal

from torch import Tensor, nn

from pruning.errors import PruningError
from pruning.models.resnet import Block, projection
from pruning.option_types import Positive

STEMS = ("imagenet", "small")
SHORTCUTS = ("all_stages", "projection")
WIDTHS = (64, 128, 256, 512)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions, the last four times as wide, and a shortcut."""

    expansion = 4

    def __init__(
        self, inputs: int, width: int, stride: int, project: bool, norm: dict[str, float]
    ) -> None:
        super().__init__()
        outputs = self.expansion * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(width, **norm)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width, **norm)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(outputs, **norm)
        self.shortcut = None
        if project:
            self.shortcut = projection(inputs, outputs, stride, norm)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y)).relu()
        y = self.norm3(self.conv3(y))
        return (y + (x if self.shortcut is None else self.shortcut(x))).relu()


# By depth: blocks of each stage, and what they are.
LAYOUTS = {
    18: ((2, 2, 2, 2), Block, 1),
    34: ((3, 4, 6, 3), Block, 1),
    50: ((3, 4, 6, 3), Bottleneck, Bottleneck.expansion),
}


class ImageNetResNet(nn.Module):
    """Stem, four stages as listed in :data:`LAYOUTS`, global average pooling, one linear layer."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int,
        depth: int,
        stem: str,
        norm: dict[str, float],
        classifier_bias: bool = True,
        shortcut: str = "projection",
    ) -> None:
        super().__init__()
        if stem not in STEMS:
            raise PruningError(f"The stem of a ResNet-{depth} is one of {STEMS}, not {stem!r}.")
        if shortcut not in SHORTCUTS:
            raise PruningError(
                f"The shortcut of a ResNet-{depth} is one of {SHORTCUTS}, not {shortcut!r}."
            )
        kernel, stride = (7, 2) if stem == "imagenet" else (3, 1)
        self.conv = nn.Conv2d(shape[0], WIDTHS[0], kernel, stride, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(WIDTHS[0], **norm)
        self.pool = nn.MaxPool2d(3, 2, padding=1) if stem == "imagenet" else nn.Identity()
        blocks, block, expansion = LAYOUTS[depth]
        stages, inputs = [], WIDTHS[0]
        for index, (count, width) in enumerate(zip(blocks, WIDTHS, strict=True)):
            stride, outputs = 1 if index == 0 else 2, expansion * width
            project = shortcut == "all_stages" or stride != 1 or inputs != outputs
            first = block(inputs, width, stride, project, norm)
            rest = [block(outputs, width, 1, False, norm) for _ in range(count - 1)]
            stages.append(nn.Sequential(first, *rest))
            inputs = outputs
        self.stages = nn.Sequential(*stages)
        self.fc = nn.Linear(inputs, classes, bias=classifier_bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages(self.pool(self.norm(self.conv(x)).relu()))
        return self.fc(x.mean(dim=(2, 3)))


def _variant(depth: int):  # noqa: ANN202 - a factory with the signature below
    def make(
        shape: tuple[int, int, int],
        classes: int,
        stem: Literal["imagenet", "small"] = "imagenet",
        bn_momentum: float = 0.1,
        bn_eps: Positive = 1e-5,
        norm_affine: bool = True,
        classifier_bias: bool = True,
        shortcut: Literal["projection", "all_stages"] = "projection",
    ) -> nn.Module:
        norm = {"momentum": bn_momentum, "eps": bn_eps, "affine": norm_affine}
        return ImageNetResNet(shape, classes, depth, stem, norm, classifier_bias, shortcut)

    make.__name__ = make.__qualname__ = f"resnet{depth}"
    make.__doc__ = f"""ImageNet ResNet-{depth}, for images of any size.

    Args:
        shape, classes: of the data.
        stem: ``imagenet``: 7x7 convolution and 3x3 max-pooling, each of stride 2; ``small``: 3x3
            convolution of stride 1 and no pooling, for images of 32x32 or 64x64.
        bn_momentum, bn_eps: of batch norm, in torch's convention.
        norm_affine: whether batch norm learns scales and shifts.
        classifier_bias: whether the linear layer has biases.
        shortcut: ``projection``: 1x1 convolution where the shape changes, as torchvision's have;
            ``all_stages``: in every stage's first block, stage 1 of basic blocks included (Renda et
            al.). Stage 1 of bottlenecks changes the shape.

    Raises:
        PruningError: an unknown stem or shortcut.
    """
    return make


resnet18 = _variant(18)
resnet34 = _variant(34)
resnet50 = _variant(50)
