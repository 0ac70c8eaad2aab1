"""Networks for MNIST: the two LeNets of the pruning literature, and one with 3x3 kernels.

LeCun et al. 1998; Han et al. 2015.
"""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from pruning.errors import PruningError
from pruning.option_types import BelowOne, Count


def mlp(
    shape: tuple[int, int, int],
    classes: int,
    widths: Sequence[Count] = (300, 100),
    bias: bool = True,
) -> nn.Module:
    """Fully connected layers fc1, fc2, ... with ReLU between, on the flattened image."""
    channels, height, width = shape
    sizes = [channels * height * width, *widths, classes]
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    for i, (inputs, outputs) in enumerate(pairwise(sizes), start=1):
        layers[f"fc{i}"] = nn.Linear(inputs, outputs, bias=bias)
        if i < len(sizes) - 1:
            layers[f"relu{i}"] = nn.ReLU()
    return nn.Sequential(layers)


def lenet_300_100(shape: tuple[int, int, int], classes: int, bias: bool = True) -> nn.Module:
    """LeNet-300-100: 266,200 prunable weights on 28x28 images with 10 classes."""
    return mlp(shape, classes, (300, 100), bias)


class LeNet5(nn.Module):
    """Two 5x5 valid convolutions with 2x2 max-pooling, then two linear layers."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int,
        widths: Sequence[int],
        hidden: int,
        bias: bool = True,
    ) -> None:
        super().__init__()
        channels, height, width = shape
        sides = [((side - 4) // 2 - 4) // 2 for side in (height, width)]
        if min(sides) < 1:
            raise PruningError(
                f"Network 'lenet_5' needs images of at least 16x16, these are {width}x{height}."
            )
        self.conv1 = nn.Conv2d(channels, widths[0], 5, bias=bias)
        self.conv2 = nn.Conv2d(widths[0], widths[1], 5, bias=bias)
        self.fc1 = nn.Linear(widths[1] * sides[0] * sides[1], hidden, bias=bias)
        self.fc2 = nn.Linear(hidden, classes, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.max_pool2d(self.conv1(x).relu(), 2)
        x = nn.functional.max_pool2d(self.conv2(x).relu(), 2)
        return self.fc2(self.fc1(x.flatten(1)).relu())


def lenet_5(
    shape: tuple[int, int, int],
    classes: int,
    widths: tuple[Count, Count] = (20, 50),
    hidden: Count = 500,
    bias: bool = True,
) -> nn.Module:
    """LeNet-5 in Caffe's 20-50-500 form: 430,500 prunable weights on 28x28 grey images."""
    return LeNet5(shape, classes, widths, hidden, bias)


class MnistConv(nn.Module):
    """Two 3x3 valid convolutions, one 2x2 max-pooling, dropout, two linear layers."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int,
        widths: Sequence[int],
        hidden: int,
        dropout: Sequence[float],
        bias: bool,
    ) -> None:
        super().__init__()
        channels, height, width = shape
        sides = [(side - 4) // 2 for side in (height, width)]
        if min(sides) < 1:
            raise PruningError(
                f"Network 'mnist_conv' needs images of at least 6x6, these are {width}x{height}."
            )
        self.conv1 = nn.Conv2d(channels, widths[0], 3, bias=bias)
        self.conv2 = nn.Conv2d(widths[0], widths[1], 3, bias=bias)
        self.dropout1 = nn.Dropout(dropout[0])
        self.fc1 = nn.Linear(widths[1] * sides[0] * sides[1], hidden, bias=bias)
        self.dropout2 = nn.Dropout(dropout[1])
        self.fc2 = nn.Linear(hidden, classes, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2(self.conv1(x).relu()).relu()
        x = self.dropout1(nn.functional.max_pool2d(x, 2))
        return self.fc2(self.dropout2(self.fc1(x.flatten(1)).relu()))


def mnist_conv(
    shape: tuple[int, int, int],
    classes: int,
    widths: tuple[Count, Count] = (32, 64),
    hidden: Count = 128,
    dropout: tuple[BelowOne, BelowOne] = (0.25, 0.5),
    bias: bool = True,
) -> nn.Module:
    """The example network of PyTorch for MNIST: 1,199,648 prunable weights on 28x28 grey images.

    Args:
        shape, classes: of the data.
        widths, hidden: channels of the convolutions, units of the hidden layer.
        dropout: shares that are dropped behind the pooling and behind the hidden layer.
        bias: whether layers have biases.

    Raises:
        PruningError: images smaller than 6x6.
    """
    return MnistConv(shape, classes, widths, hidden, dropout, bias)
