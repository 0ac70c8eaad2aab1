"""A small convolutional network for images as small as 8x8."""

from collections.abc import Sequence

from torch import Tensor, nn

from pruning.option_types import Count


class SmallCNN(nn.Module):
    """Two 3x3 convolutions with batch norm, a 2x2 max-pool after each, one hidden linear layer."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int,
        widths: Sequence[int],
        hidden: int,
        norm_affine: bool,
        bias: bool,
    ) -> None:
        super().__init__()
        channels, height, width = shape
        self.conv1 = nn.Conv2d(channels, widths[0], 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(widths[0], affine=norm_affine)
        self.conv2 = nn.Conv2d(widths[0], widths[1], 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(widths[1], affine=norm_affine)
        self.fc1 = nn.Linear(widths[1] * (height // 4) * (width // 4), hidden, bias=bias)
        self.fc2 = nn.Linear(hidden, classes, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.max_pool2d(self.norm1(self.conv1(x)).relu(), 2)
        x = nn.functional.max_pool2d(self.norm2(self.conv2(x)).relu(), 2)
        return self.fc2(self.fc1(x.flatten(1)).relu())


def small_cnn(
    shape: tuple[int, int, int],
    classes: int,
    widths: tuple[Count, Count] = (8, 16),
    hidden: Count = 32,
    norm_affine: bool = True,
    bias: bool = True,
) -> nn.Module:
    """A network for the digits; 3,592 prunable weights on 8x8 grey images with 10 classes.

    Args:
        shape, classes: of the data.
        widths, hidden: channels of the convolutions, units of the hidden layer.
        norm_affine: whether batch norm learns scales and shifts.
        bias: whether the linear layers have biases.
    """
    return SmallCNN(shape, classes, widths, hidden, norm_affine, bias)
