"""VGG for 32x32 images: 3x3 convolutions with batch norm and a single linear layer."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from pruning.errors import PruningError
from pruning.option_types import Positive

POOL = 0
LAYERS = {
    8: (64, POOL, 128, POOL, 256, POOL, 512, POOL, 512),
    11: (64, POOL, 128, POOL, 256, 256, POOL, 512, 512, POOL, 512, 512),
    13: (64, 64, POOL, 128, 128, POOL, 256, 256, POOL, 512, 512, POOL, 512, 512),
    16: (64, 64, POOL, 128, 128, POOL, *3 * (256,), POOL, *3 * (512,), POOL, *3 * (512,)),
    19: (64, 64, POOL, 128, 128, POOL, *4 * (256,), POOL, *4 * (512,), POOL, *4 * (512,)),
}


class VGG(nn.Module):
    """Convolutions as ``layers`` lists them, a last pooling, one linear layer.

    ``layers`` has the channels of each convolution and :data:`POOL` for four poolings between, as
    in :data:`LAYERS`.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int,
        layers: Sequence[int],
        width: float,
        conv_bias: bool,
        last_pool: str,
        norm: dict[str, float],
        classifier_bias: bool = True,
    ) -> None:
        super().__init__()
        if last_pool not in ("max", "average"):
            raise PruningError(f"A VGG's last_pool is 'max' or 'average', not {last_pool!r}.")
        channels, *sides = shape
        if min(sides) < 32:
            raise PruningError(f"A VGG needs images of at least 32x32, these are {sides}.")
        features: list[nn.Module] = []
        for layer in layers:
            if layer == POOL:
                features.append(nn.MaxPool2d(2))
                continue
            outputs = max(1, round(layer * width))
            features.append(nn.Conv2d(channels, outputs, 3, padding=1, bias=conv_bias))
            features += [nn.BatchNorm2d(outputs, **norm), nn.ReLU()]
            channels = outputs
        features.append(nn.MaxPool2d(2) if last_pool == "max" else nn.AvgPool2d(2))
        self.features = nn.Sequential(*features)
        inputs = channels * (sides[0] // 32) * (sides[1] // 32)
        self.fc = nn.Linear(inputs, classes, bias=classifier_bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.features(x).flatten(1))


def _variant(depth: int):  # noqa: ANN202 - a factory with the signature below
    def make(
        shape: tuple[int, int, int],
        classes: int,
        width: Positive = 1.0,
        conv_bias: bool = False,
        last_pool: Literal["max", "average"] = "max",
        bn_momentum: float = 0.1,
        bn_eps: Positive = 1e-5,
        norm_affine: bool = True,
        classifier_bias: bool = True,
    ) -> nn.Module:
        norm = {"momentum": bn_momentum, "eps": bn_eps, "affine": norm_affine}
        layers = LAYERS[depth]
        return VGG(shape, classes, layers, width, conv_bias, last_pool, norm, classifier_bias)

    make.__name__ = make.__qualname__ = f"vgg{depth}"
    make.__doc__ = f"""VGG-{depth} with batch norm.

    Args:
        shape, classes: of the data.
        width: multiplies the channels of every layer.
        conv_bias: biases beside batch norm (Frankle et al. 2021; none in Renda et al. 2020).
        last_pool: ``max`` (Renda et al.) or ``average`` (Frankle et al.).
        bn_momentum, bn_eps: of batch norm, in torch's convention.
        norm_affine: whether batch norm learns scales and shifts.
        classifier_bias: whether the linear layer has biases.
    """
    return make


vgg8 = _variant(8)
vgg11 = _variant(11)
vgg13 = _variant(13)
vgg16 = _variant(16)
vgg19 = _variant(19)
