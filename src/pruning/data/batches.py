"""Batches as a pure function of (seed, stream, position): nothing to save, nothing per sample.

An epoch's order and its augmentation are drawn at once from generators derived from
(seed, stream, epoch). A batch is one gather on the device.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from pruning.data.batching import Batching
from pruning.data.resized_crop import draw_boxes, resized_crops
from pruning.data.splits import Split, Splits
from pruning.errors import PruningError
from pruning.seeds import generator
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
        PruningError: ``given`` with other than one ``mean`` and ``std`` for each channel.
    """

    def __init__(
        self, kind: str, data: Splits, mean: Sequence[float] = (), std: Sequence[float] = ()
    ) -> None:
        height, width, channels = data.train.shape
        self.kind, self.shape = kind, (height, width, channels)
        if kind == "given":
            _check_channels(data.name, channels, mean, std)
            mean, std = (255 * torch.tensor(v, dtype=torch.float32) for v in (mean, std))
        else:
            mean, std = torch.tensor(data.mean), torch.tensor(data.std)
        if kind == "scale":
            mean, std = torch.zeros_like(mean), torch.full_like(std, 255.0)
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
        self.split, self.normalize, self.batching = split, normalize, batching
        self.seed, self.stream = seed, tuple(stream)
        self.device = split.images.device
        self._epoch_cache: dict[int, tuple[Tensor, ...]] = {}
        self._crops = None
        if batching.crop_padding:
            height, width = split.shape[:2]
            if batching.crop_padding >= min(height, width):
                raise PruningError(
                    f"crop_padding is {batching.crop_padding}, but images have {height} x {width} "
                    "pixels: some crops would show none of them. Use less."
                )
            self._crops = Crops(split.images, batching.crop_padding)

    def size(self, index: int) -> int:
        """How many images batch ``index`` has."""
        return sum(stop - start for _, start, stop in self._pieces(index))

    def batch(self, index: int, share: Share = WHOLE) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W) float32 and labels (B,) of batch ``index``, counted from 0; or of
        a share of it, drawn with the whole."""
        pieces = [self._slice(*piece) for piece in _rows(self._pieces(index), share)]
        if len(pieces) > 1:
            pieces = [tuple(torch.cat(part) for part in zip(*pieces, strict=True))]
        order, *augmentation = pieces[0]
        images = self._gather(order, *augmentation)
        return self.normalize(images), self.split.labels.index_select(0, order)

    def _pieces(self, index: int) -> list[tuple[int, int, int]]:
        """The batch as (epoch, start, stop) pieces; only batches that straddle epochs have two."""
        count, size = len(self.split), self.batching.size
        if self.batching.epoch_boundary != "straddle":
            epoch, within = divmod(index, int(self.batching.steps_per_epoch(count)))
            return [(epoch, within * size, min((within + 1) * size, count))]
        pieces, position, stop = [], index * size, (index + 1) * size
        while position < stop:
            epoch, start = divmod(position, count)
            taken = min(stop - position, count - start)
            pieces.append((epoch, start, start + taken))
            position += taken
        return pieces

    def _slice(self, epoch: int, start: int, stop: int) -> tuple[Tensor, ...]:
        return tuple(part[start:stop] for part in self._epoch(epoch))

    def _epoch(self, epoch: int) -> tuple[Tensor, ...]:
        """Order, and where asked for crop offsets or boxes, and flips, of a whole epoch."""
        if epoch not in self._epoch_cache:
            for old in [e for e in self._epoch_cache if e < epoch - 1]:
                del self._epoch_cache[old]
            self._epoch_cache[epoch] = self._draw(epoch)
        return self._epoch_cache[epoch]

    def _draw(self, epoch: int) -> tuple[Tensor, ...]:
        count = len(self.split)
        order = generator(self.seed, *self.stream, "order", epoch)
        draws = [torch.randperm(count, generator=order)]
        # By its own generator: a change of augmentation leaves the order as it was.
        augment = generator(self.seed, *self.stream, "augmentation", epoch)
        if self.batching.crop_padding:
            reach = 2 * self.batching.crop_padding + 1
            draws.append(torch.randint(reach, (count, 2), generator=augment))
        if self.batching.resized_crop:
            height, width = self.split.images.shape[1:3]
            crop = self.batching.resized_crop
            draws.append(draw_boxes(count, height, width, crop, augment))
        if self.batching.flip:
            draws.append(torch.rand(count, generator=augment) < 0.5)
        return tuple(draw.to(self.device) for draw in draws)

    def _gather(self, order: Tensor, *augmentation: Tensor) -> Tensor:
        rest = list(augmentation)
        if self._crops is not None:
            images = self._crops(order, rest.pop(0))
        else:
            images = self.split.images.index_select(0, order)
        if self.batching.resized_crop:
            images = resized_crops(images, rest.pop(0))
        if self.batching.flip:
            images = torch.where(rest.pop(0)[:, None, None, None], images.flip(2), images)
        return images


def _rows(pieces: Sequence[tuple[int, int, int]], share: Share) -> list[tuple[int, int, int]]:
    """What a share has of a batch in (epoch, start, stop) pieces; one empty piece for nothing."""
    first, last = share.rows(sum(stop - start for _, start, stop in pieces))
    rows, before = [], 0
    for epoch, start, stop in pieces:
        low, high = (min(max(at - before, 0), stop - start) for at in (first, last))
        if low < high:
            rows.append((epoch, start + low, start + high))
        before += stop - start
    return rows or [(pieces[0][0], 0, 0)]


class Crops:
    """Shifted crops of zero-padded images, each with an offset of its own, in one gather.

    The padded images are one long run of pixels. A row of any crop is a run of W pixels of it, so
    an overlapping view with one entry per starting pixel, gathered by row, copies whole rows.

    Args:
        images: uint8 (N, H, W, C).
        padding: pixels on each side; offsets lie in [0, 2 * padding].
    """

    def __init__(self, images: Tensor, padding: int) -> None:
        self.shape = images.shape[1:]
        height, width, channels = self.shape
        padded = torch.nn.functional.pad(images, (0, 0, padding, padding, padding, padding))
        self.stride = width + 2 * padding
        self.pixels = self.stride * (height + 2 * padding)
        starts = padded[..., 0].numel() - width + 1
        self.rows = padded.as_strided((starts, width * channels), (channels, 1))
        self.steps = torch.arange(height, device=images.device) * self.stride

    def __call__(self, order: Tensor, offsets: Tensor) -> Tensor:
        """Crops (B, H, W, C) of the images ``order`` at ``offsets`` (B, 2), down and right."""
        first = order * self.pixels + offsets[:, 0] * self.stride + offsets[:, 1]
        rows = (first[:, None] + self.steps).flatten()
        return self.rows.index_select(0, rows).view(-1, *self.shape)
