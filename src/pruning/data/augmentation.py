"""Crops and flips of images that are tensors, a whole batch at once, on their device."""

from typing import Protocol

import torch
from torch import Tensor

from pruning.data.order import Order, keep_last_two
from pruning.data.resized_crop import draw_boxes, resized_crops
from pruning.errors import PruningError
from pruning.seeds import generator
from pruning.share import WHOLE, Share


class Augmented(Protocol):
    """Training images by batch, whatever their split keeps them in."""

    def batch(self, index: int, share: Share = WHOLE) -> tuple[Tensor, Tensor]:
        """Images uint8 (B, H, W, C) of batch ``index`` or a share of it, cropped and flipped, and
        which they are (B,); both where the images of the split are."""


class AugmentedTensors:
    """As of :class:`Augmented`. What is drawn is drawn for a whole epoch at once.

    Args:
        images: uint8 (N, H, W, C).
        order: in which they are visited, and how they are cropped and flipped.

    Raises:
        PruningError: padding that leaves crops without any pixel of an image.
    """

    def __init__(self, images: Tensor, order: Order) -> None:
        self.images, self.order, self.batching = images, order, order.batching
        self._epochs: dict[int, tuple[Tensor, ...]] = {}
        check_padding(self.batching.crop_padding, *images.shape[1:3])
        padding = self.batching.crop_padding
        self._crops = Crops(images, padding) if padding else None

    def batch(self, index: int, share: Share = WHOLE) -> tuple[Tensor, Tensor]:
        """As of :class:`Augmented`."""
        pieces = [
            tuple(part[start:stop] for part in self._epoch(epoch))
            for epoch, start, stop in self.order.pieces(index, share)
        ]
        if len(pieces) > 1:
            pieces = [tuple(torch.cat(part) for part in zip(*pieces, strict=True))]
        rows, *augmentation = pieces[0]
        return self._gather(rows, *augmentation), rows

    def _epoch(self, epoch: int) -> tuple[Tensor, ...]:
        """Order, and where asked for crop offsets or boxes, and flips, of a whole epoch."""
        if epoch not in self._epochs:
            keep_last_two(self._epochs, epoch)
            self._epochs[epoch] = self._draw(epoch)
        return self._epochs[epoch]

    def _draw(self, epoch: int) -> tuple[Tensor, ...]:
        count, order = len(self.images), self.order
        draws = [order.images((epoch, 0, count))]
        # By its own generator: a change of augmentation leaves the order as it was.
        augment = generator(order.seed, *order.stream, "augmentation", epoch)
        if self.batching.crop_padding:
            reach = 2 * self.batching.crop_padding + 1
            draws.append(torch.randint(reach, (count, 2), generator=augment))
        if self.batching.resized_crop:
            height, width = self.images.shape[1:3]
            crop = self.batching.resized_crop
            draws.append(draw_boxes(count, height, width, crop, augment))
        if self.batching.flip:
            draws.append(torch.rand(count, generator=augment) < 0.5)
        return tuple(draw.to(self.images.device) for draw in draws)

    def _gather(self, order: Tensor, *augmentation: Tensor) -> Tensor:
        rest = list(augmentation)
        if self._crops is not None:
            images = self._crops(order, rest.pop(0))
        else:
            images = self.images.index_select(0, order)
        if self.batching.resized_crop:
            images = resized_crops(images, rest.pop(0))
        if self.batching.flip:
            images = torch.where(rest.pop(0)[:, None, None, None], images.flip(2), images)
        return images


def check_padding(padding: int, height: int, width: int) -> None:
    """Refuse padding as wide as the images.

    Raises:
        PruningError: it is.
    """
    if padding and padding >= min(height, width):
        raise PruningError(
            f"crop_padding is {padding}, but images have {height} x {width} pixels: some crops "
            "would show none of them. Use less."
        )


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
