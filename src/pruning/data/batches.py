"""Batches as a pure function of (seed, stream, position): nothing to save, nothing per sample.

An epoch's order is drawn at once from a generator derived from (seed, stream, epoch). So is its
augmentation where images are tensors, and a batch is one gather on the device.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from pruning.data.batching import Batching
from pruning.data.order import Order
from pruning.data.splits import Split, Splits
from pruning.errors import PruningError
from pruning.share import WHOLE, Share


class Normalizer:
    """uint8 (N, H, W, C) -> normalised float32 (N, C, H, W) in channels-last memory format.

    ``per_channel`` uses the training set's statistics. ``per_image`` subtracts each image's own
    mean and divides by its own standard deviation, floored at 1/sqrt(C*H*W) (Renda et al., as
    TensorFlow's ``per_image_standardization`` on the raw values). ``scale`` maps to [0, 1].
    ``given`` uses constants from elsewhere, such as ImageNet's statistics.

    Args:
        kind: one of the above.
        data: where the images are from.
        mean, std: of each channel for ``given``, where pixels lie in [0, 1].

    Raises:
        PruningError: ``given`` with other than one ``mean`` and ``std`` for each channel;
            ``per_channel`` where no one has looked at all images.
    """

    def __init__(
        self, kind: str, data: Splits, mean: Sequence[float] = (), std: Sequence[float] = ()
    ) -> None:
        height, width, channels = data.train.shape
        self.kind, self.shape = kind, (height, width, channels)
        if kind == "given":
            _check_channels(data.name, channels, mean, std)
            mean, std = (255 * torch.tensor(v, dtype=torch.float32) for v in (mean, std))
        elif kind == "per_channel":
            _check_known(data)
            mean, std = torch.tensor(data.mean), torch.tensor(data.std)
        else:
            mean, std = torch.zeros(channels), torch.full((channels,), 255.0)
        std = torch.where(std > 0, std, torch.ones_like(std))  # a constant channel
        # Spelled out per pixel: broadcasting over three channels alone does not vectorise.
        self.factor = (1 / std).repeat(height * width).to(data.train.device)
        self.shift = (-mean / std).repeat(height * width).to(data.train.device)

    def __call__(self, images: Tensor) -> Tensor:
        """Normalise a batch; the class says how."""
        x = images.reshape(len(images), -1).to(torch.float32)
        if self.kind == "per_image":
            # Two plain reductions: torch.std_mean is ten times as slow on a CPU.
            x = x.sub_(x.mean(1, keepdim=True))
            std = x.square().mean(1, keepdim=True).sqrt_()
            x = x.div_(std.clamp_min_(x.shape[1] ** -0.5))
        else:
            x = x.mul_(self.factor).add_(self.shift)
        return x.view(-1, *self.shape).permute(0, 3, 1, 2)


def _check_known(data: Splits) -> None:
    if not data.mean:
        raise PruningError(
            f"normalization: per_channel needs the mean and standard deviation of all training "
            f"images, and those of {data.name!r} are files that are not decoded before they are "
            "trained on. Write `normalization: given` with `mean` and `std` (of ImageNet: "
            "[0.485, 0.456, 0.406] and [0.229, 0.224, 0.225]), `scale` or `per_image`."
        )


def _check_channels(name: str, channels: int, mean: Sequence[float], std: Sequence[float]) -> None:
    if len(mean) != channels or len(std) != channels:
        raise PruningError(
            f"normalization: given has {len(mean)} numbers in `mean` and {len(std)} in `std`, but "
            f"the images of {name!r} have {channels} channels. Give one for each channel."
        )


class TrainingStream:
    """The endless sequence of training batches of one run.

    Args:
        split: the images to draw from.
        normalize: makes network input of them.
        batching: batch size, epoch boundaries, augmentation.
        seed: the study's seed.
        stream: what the run is, as (seed, stream) decides order and augmentation.
    """

    def __init__(
        self,
        split: Split,
        normalize: Normalizer,
        batching: Batching,
        seed: int,
        stream: Sequence[str | int],
    ) -> None:
        self.labels, self.normalize = split.labels, normalize
        self.order = Order(len(split), batching, seed, stream)
        self.images = split.augmented(self.order)

    def size(self, index: int) -> int:
        """How many images batch ``index`` has."""
        return self.order.size(index)

    def batch(self, index: int, share: Share = WHOLE) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W) float32 and labels (B,) of batch ``index``, counted from 0; or of
        a share of it, drawn with the whole."""
        images, rows = self.images.batch(index, share)
        return self.normalize(images), self.labels.index_select(0, rows)
