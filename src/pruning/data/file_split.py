"""A split whose images are files; the counterpart of :class:`pruning.data.splits.Split`."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pruning.data.augmentation import check_padding
from pruning.data.loader import load_ahead
from pruning.data.order import Order, onwards
from pruning.data.picture_files import PictureFiles
from pruning.share import WHOLE, Share

CHUNK = 64  # images that one worker reads at a time: batches of a thousand would wait for one


@dataclass(frozen=True)
class FileSplit:
    """Images in files and labels int64 (N,), on the device.

    Attributes:
        files: of a whole prepared split.
        rows: which of them these are, int64 (N,), on the CPU.
        labels: of these.
    """

    files: PictureFiles
    rows: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of one image."""
        return self.files.cut.shape

    @property
    def device(self) -> torch.device:
        """Where images are wanted."""
        return self.labels.device

    def part(self, indices: Tensor) -> "FileSplit":
        """Some of it."""
        return FileSplit(self.files, self.rows[indices], self.labels[indices])

    def to(self, device: torch.device) -> "FileSplit":
        """The same with labels on a device, and images once they are read."""
        return FileSplit(self.files, self.rows, self.labels.to(device))

    def take(self, indices: Tensor) -> Tensor:
        """Images uint8 (B, H, W, C), cut as for evaluation, read in this process."""
        rows = self.rows[indices.cpu()].tolist()
        return torch.from_numpy(self.files.evaluated(rows)).to(self.device)

    def in_turn(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        """:meth:`take` for batch after batch, read ahead by workers."""
        wanted = [_chunks(self.rows[indices.cpu()]) for indices in batches]
        loaded = load_ahead(self.files.evaluated, chain.from_iterable(wanted))
        for chunks in wanted:
            yield _gathered([next(loaded) for _ in chunks], self.device)

    def augmented(self, order: Order) -> "AugmentedFiles":
        """The images of training batches."""
        return AugmentedFiles(self, order)


class AugmentedFiles:
    """As of :class:`pruning.data.augmentation.Augmented`.

    Batches are read ahead for as long as each is asked for after the one before it.

    Args:
        split: the images.
        order: in which they are visited, and how they are cropped and flipped.

    Raises:
        PruningError: padding that leaves crops without any pixel of an image.
    """

    def __init__(self, split: FileSplit, order: Order) -> None:
        check_padding(order.batching.crop_padding, *split.shape[:2])
        self.split, self.order = split, order
        self._next: tuple[int, Share] | None = None
        self._loaded: Iterator[Tensor] = iter(())

    def batch(self, index: int, share: Share = WHOLE) -> tuple[Tensor, Tensor]:
        """As of :class:`pruning.data.augmentation.Augmented`."""
        if self._next != (index, share):
            self._loaded = iter(())  # ends the workers of what is no longer wanted
            self._loaded = _read_from(self.split, self.order, index, share)
        self._next = None  # until all is there: what failed is not gone on with
        pieces = self.order.pieces(index, share)
        requests = _requests(self.split.rows, self.order, pieces)
        images = _gathered([next(self._loaded) for _ in requests], self.split.device)
        self._next = index + 1, share
        rows = torch.cat([self.order.images(piece) for piece in pieces])
        return images, rows.to(self.split.device)


Request = tuple[int, list[int]]  # epoch, rows


def _read_from(split: FileSplit, order: Order, index: int, share: Share) -> Iterator[Tensor]:
    requests = (
        request
        for pieces in onwards(order, index, share)
        for request in _requests(split.rows, order, pieces)
    )
    load = partial(_augmented, split.files, order.batching, order.seed, order.stream)
    return load_ahead(load, requests)


def _augmented(
    files: PictureFiles, batching: Any, seed: int, stream: tuple, request: Request
) -> np.ndarray:
    epoch, rows = request
    return files.augmented(rows, batching, seed, stream, epoch)


def _requests(rows: Tensor, order: Order, pieces: Sequence) -> list[Request]:
    """What the workers read for one batch."""
    return [(piece[0], chunk) for piece in pieces for chunk in _chunks(rows[order.images(piece)])]


def _chunks(rows: Tensor) -> list[list[int]]:
    """At least one, though it be empty."""
    return [chunk.tolist() for chunk in rows.split(CHUNK)] or [[]]


def _gathered(chunks: list[Tensor], device: torch.device) -> Tensor:
    """Chunks as one batch on the device."""
    if device.type != "cuda":
        return chunks[0] if len(chunks) == 1 else torch.cat(chunks)
    # From pinned memory the copy goes on while the network still computes on the last batch.
    count = sum(map(len, chunks))
    pinned = torch.empty((count, *chunks[0].shape[1:]), dtype=torch.uint8, pin_memory=True)
    torch.cat(chunks, out=pinned)
    return pinned.to(device, non_blocking=True)
