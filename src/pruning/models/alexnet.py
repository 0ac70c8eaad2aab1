"""AlexNet (Krizhevsky et al. 2012) for 32x32 images: five convolutions and one linear layer."""

from torch import Tensor, nn

from pruning.errors import PruningError
from pruning.option_types import Positive

# Of each convolution: channels, kernel size, stride, padding; whether 2x2 max-pooling follows.
LAYERS = (
    (64, 11, 4, 5, True),
    (192, 5, 1, 2, True),
    (384, 3, 1, 1, False),
    (256, 3, 1, 1, False),
    (256, 3, 1, 1, True),
)


class AlexNet(nn.Module):
    """Convolutions as listed in :data:`LAYERS`, without batch norm, and one linear layer."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int,
        width: float,
        conv_bias: bool,
        classifier_bias: bool,
    ) -> None:
        super().__init__()
        channels, *sides = shape
        if min(sides) < 29:  # 8x8 behind the first convolution, halved three times
            raise PruningError(f"AlexNet needs images of at least 29x29, these are {sides}.")
        features: list[nn.Module] = []
        for layer, kernel, stride, padding, pooled in LAYERS:
            outputs = max(1, round(layer * width))
            features.append(nn.Conv2d(channels, outputs, kernel, stride, padding, bias=conv_bias))
            features.append(nn.ReLU())
            if pooled:
                features.append(nn.MaxPool2d(2))
            channels = outputs
        self.features = nn.Sequential(*features)
        height, breadth = (((side - 1) // 4 + 1) // 8 for side in sides)
        self.fc = nn.Linear(channels * height * breadth, classes, bias=classifier_bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.features(x).flatten(1))


def alexnet(
    shape: tuple[int, int, int],
    classes: int,
    width: Positive = 1.0,
    conv_bias: bool = True,
    classifier_bias: bool = True,
) -> nn.Module:
    """AlexNet for CIFAR: 2,471,104 prunable weights with 10 classes.

    Args:
        shape, classes: of the data.
        width: multiplies the channels of every layer.
        conv_bias: whether convolutions have biases.
        classifier_bias: whether the linear layer has biases.

    Raises:
        PruningError: images smaller than 29x29.
    """
    return AlexNet(shape, classes, width, conv_bias, classifier_bias)
