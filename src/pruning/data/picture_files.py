"""Pictures read from files, cut and drawn on: what worker processes do.

What is drawn of an image is a function of (seed, stream, epoch, image) alone, by a generator that
is counted instead of run (Philox; Salmon et al. 2011). So neither the process that reads an image
nor what is read beside it changes a bit.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pruning.data.batching import Batching
from pruning.data.cut import Cut
from pruning.data.picture_index import Listing, checksum
from pruning.data.resized_crop import TRIES, box_of
from pruning.errors import PruningError
from pruning.seeds import derive


@dataclass(frozen=True)
class PictureFiles:
    """The files of one split of a prepared list.

    Attributes:
        name: of the data set, for messages.
        root: the tree's top.
        listing: its files.
        cut: how they become images.
        prepared: the list's own file, for messages.
    """

    name: str
    root: Path
    listing: Listing
    cut: Cut
    prepared: Path

    @cached_property
    def _decode(self) -> Any:
        from pruning.data.pictures import Decoder  # and with it Pillow, where pictures are read

        return Decoder(self.name, grey=self.cut.grey, background=self.cut.background)

    def evaluated(self, rows: Sequence[int]) -> np.ndarray:
        """Images as evaluation sees them, uint8 (B, H, W, C)."""
        return self._stack([self._central(self._picture(row)) for row in rows])

    def augmented(
        self, rows: Sequence[int], batching: Batching, seed: int, stream: tuple, epoch: int
    ) -> np.ndarray:
        """Images as a training sees them in an epoch, uint8 (B, H, W, C).

        Args:
            rows: which.
            batching: how images are cropped and flipped.
            seed, stream: of the run.
            epoch: from 0.
        """
        key = derive(seed, *stream, "augmentation", epoch)
        return self._stack([self._drawn(row, batching, key) for row in rows])

    def _stack(self, images: list[np.ndarray]) -> np.ndarray:
        return np.stack(images) if images else np.empty((0, *self.cut.shape), np.uint8)

    def _drawn(self, row: int, batching: Batching, key: int) -> np.ndarray:
        # A counter of 256 bits: each image has 2^64 numbers of its own.
        source = np.random.Generator(np.random.Philox(key=key, counter=int(row) << 64))
        flip, down, right, *boxes = source.random(3 + 4 * TRIES)
        picture = self._picture(row)
        if batching.resized_crop:
            draws = torch.tensor(boxes, dtype=torch.float64).view(TRIES, 4)
            box = box_of(picture.height, picture.width, batching.resized_crop, draws).tolist()
            image = self._resized(picture, box)
        else:
            image = self._central(picture)
        if batching.crop_padding:
            image = _shifted(image, batching.crop_padding, down, right)
        return image[:, ::-1] if batching.flip and flip < 0.5 else image

    def _central(self, picture: Any) -> np.ndarray:
        return self._resized(picture, self.cut.central(picture.height, picture.width))

    def _resized(self, picture: Any, box: Sequence[int]) -> np.ndarray:
        from PIL import Image

        top, left, rows, columns = box
        # Cropped first: by resize's own `box` the filter would read pixels beyond it.
        crop = picture.crop((left, top, left + columns, top + rows))
        how = Image.Resampling[self.cut.interpolation.upper()]
        image = np.asarray(crop.resize((self.cut.size, self.cut.size), how))
        return image if image.ndim == 3 else image[..., None]

    def _picture(self, row: int) -> Any:
        path = os.path.join(self.root, self.listing.path(int(row)))
        return self._decode.picture(path, self._content(int(row), path))

    def _content(self, row: int, path: str) -> bytes:
        """A file's bytes, which are those that were listed."""
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise self._refusal(path, f"cannot be read ({error.strerror})") from None
        size = int(self.listing.bytes[row])
        if len(content) != size:
            raise self._refusal(path, f"has changed: it has {len(content):,} bytes, not {size:,}")
        if checksum(content) != int(self.listing.checksums[row]):
            raise self._refusal(path, "has changed: other bytes are in it, as many as before")
        return content

    def _refusal(self, path: str, what: str) -> PruningError:
        return PruningError(
            f"Data set {self.name!r}: {path} {what} since the files were listed. Bring it back as "
            f"it was, and trainings go on where they are; or delete {self.prepared}, and the next "
            "run lists the files again and repeats what follows."
        )


def _shifted(image: np.ndarray, padding: int, down: float, right: float) -> np.ndarray:
    """A crop of the zero-padded image, at offsets drawn uniformly from [0, 2 * padding]."""
    height, width, _ = image.shape
    padded = np.pad(image, ((padding, padding), (padding, padding), (0, 0)))
    top, left = (int(draw * (2 * padding + 1)) for draw in (down, right))
    return padded[top : top + height, left : left + width]
