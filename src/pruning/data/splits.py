"""The training, validation and test images of a task: whole on the device, or in files."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pruning.data import picture_index
from pruning.data.augmentation import Augmented, AugmentedTensors
from pruning.data.file_split import FileSplit
from pruning.data.notes import source_location
from pruning.data.order import Order
from pruning.data.picture_files import PictureFiles
from pruning.data.store import (
    INDEX,
    OPTIONAL,
    SPLITS,
    ImageData,
    checked,
    read_arrays,
    read_header,
    read_shapes,
)
from pruning.data.validation import Validation
from pruning.errors import PruningError
from pruning.seals import changed
from pruning.seeds import generator


@dataclass(frozen=True)
class Split:
    """Images uint8 (N, H, W, C) and labels int64 (N,), on the device."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of one image."""
        return tuple(self.images.shape[1:])

    @property
    def device(self) -> torch.device:
        """Where the images are."""
        return self.images.device

    def part(self, indices: Tensor) -> "Split":
        """Some of it."""
        return Split(self.images[indices], self.labels[indices])

    def to(self, device: torch.device) -> "Split":
        """The same on a device."""
        return Split(self.images.to(device), self.labels.to(device))

    def take(self, indices: Tensor) -> Tensor:
        """Images uint8 (B, H, W, C), as they are."""
        return self.images[indices]

    def in_turn(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        """:meth:`take` for batch after batch."""
        return map(self.take, batches)

    def augmented(self, order: Order) -> Augmented:
        """The images of training batches, in an order, cropped and flipped as it says."""
        return AugmentedTensors(self.images, order)


class StoredSplit:
    """A :class:`Split` or :class:`FileSplit` that is read when it is first looked at.

    Masks are often cut from weights alone, and need not wait for gigabytes of images.

    Args:
        count: how many images there are.
        shape: (H, W, C) of one.
        device: where they will be.
        read: reads them.
    """

    def __init__(
        self,
        count: int,
        shape: tuple[int, int, int],
        device: torch.device,
        read: Callable[[], Split | FileSplit],
    ) -> None:
        self.count, self.shape, self.device, self.read = count, shape, device, read

    def __len__(self) -> int:
        return self.count

    @cached_property
    def images(self) -> Tensor:
        """As of :class:`Split`, where images are tensors."""
        return self.read().images

    @cached_property
    def labels(self) -> Tensor:
        """As of :class:`Split`."""
        return self.read().labels

    def take(self, indices: Tensor) -> Tensor:
        """As of :class:`Split`."""
        return self.read().take(indices)

    def in_turn(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        """As of :class:`Split`."""
        return self.read().in_turn(batches)

    def augmented(self, order: Order) -> Augmented:
        """As of :class:`Split`."""
        return self.read().augmented(order)


@dataclass(frozen=True)
class Splits:
    """A data set ready to train on.

    Attributes:
        train, validation, test: the three parts; validation may be empty.
        mean, std: of each channel over all prepared training images, in [0, 255]; empty where
            these are files.
        record: names the data set and the split, for the summaries.
    """

    name: str
    classes: tuple[str, ...]
    train: Split | StoredSplit
    validation: Split | StoredSplit
    test: Split | StoredSplit
    mean: tuple[float, ...]
    std: tuple[float, ...]
    record: dict

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        height, width, channels = self.train.shape
        return channels, height, width


def validation_indices(name: str, count: int, validation: Validation) -> tuple[Tensor, Tensor]:
    """Indices (rest, validation) of ``count`` images: the same for every seed and every study."""
    chosen = round(validation.fraction * count)
    order = torch.randperm(count, generator=generator(0, "validation split", name))
    return order[chosen:].sort().values, order[:chosen].sort().values


def load(
    path: Path | str, validation: Validation | None = None, device: str | torch.device = "cpu"
) -> Splits:
    """Split a prepared data set; the images are read when they are first looked at.

    Args:
        path: the file that the data stage wrote.
        validation: how to split; without it, 20 % of the test images validate.
        device: where the images are kept.

    Raises:
        PruningError: the file is missing, damaged or foreign; all images of a split validate.
    """
    validation, device = validation or Validation(), torch.device(device)
    header = read_header(path)
    shapes = read_shapes(path)
    if validation.source not in shapes:
        raise PruningError(
            f"validation.source is {validation.source!r}, but the images of {header['name']!r} are "
            f"those to train and to test on. Say one of {', '.join(shapes)}."
        )
    counts, shape = {split: size[0] for split, size in shapes.items()}, shapes["train"][1:]
    rest, held_out = validation_indices(header["name"], counts[validation.source], validation)
    if not len(rest):
        raise PruningError(
            f"A validation.fraction of {validation.fraction} of the {len(held_out)} "
            f"{validation.source} images leaves no other. Lower it."
        )
    counts |= {"validation": len(held_out), validation.source: len(rest)}

    @cache
    def read() -> dict[str, Split | FileSplit]:
        if read_header(path) != header:  # else images of one go with the counts of the other
            raise PruningError(
                f"The prepared data set {path} was made anew since it was loaded. Load it again."
            )
        parts = _read(path, header)
        whole = parts[validation.source]
        parts["validation"] = whole.part(held_out)
        if len(held_out):
            parts[validation.source] = whole.part(rest)
        return {name: split.to(device) for name, split in parts.items()}

    splits = {
        name: StoredSplit(counts[name], shape, device, lambda name=name: read()[name])
        for name in ("train", "validation", "test")
    }
    record = {
        "dataset": header["name"],
        "source": header["source"],
        "validation_from": validation.source,
        "validation_fraction": validation.fraction,
        "images": {name: len(split) for name, split in splits.items()},
        "validation_indices_sha256": hashlib.sha256(held_out.numpy().tobytes()).hexdigest(),
        **{key: header[key] for key in OPTIONAL if key in header},
    }
    return Splits(
        name=header["name"],
        classes=tuple(header["classes"]),
        mean=tuple(header.get("mean", ())),
        std=tuple(header.get("std", ())),
        record=record,
        **splits,
    )


def _read(path: Path | str, header: dict) -> dict[str, Split | FileSplit]:
    """All training and test images.

    Raises:
        PruningError: they are not as they were written.
    """
    found = read_arrays(path, header)
    return (_files if header["format"] == INDEX else _tensors)(path, header, found)


def _tensors(path: Path | str, header: dict, found: dict[str, np.ndarray]) -> dict[str, Split]:
    names = [f"{split}_{part}" for split in SPLITS for part in ("images", "labels")]
    arrays = {name: found[name] for name in names}
    told = {"classes": tuple(header["classes"]), "source": header["source"]}
    checked(ImageData(header["name"], **arrays, **told), path)
    parts = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return {s: Split(parts[f"{s}_images"], parts[f"{s}_labels"]) for s in SPLITS}


def _files(path: Path | str, header: dict, found: dict[str, np.ndarray]) -> dict[str, FileSplit]:
    try:
        index = picture_index.from_arrays(header, found)
    except (KeyError, TypeError):
        raise changed(path) from None
    checked(index, path)
    root = source_location(path)
    return {
        split: FileSplit(
            PictureFiles(index.name, root, listing, index.cut, Path(path)),
            torch.arange(len(listing)),
            torch.from_numpy(listing.labels),
        )
        for split, listing in (("train", index.train), ("test", index.test))
    }
