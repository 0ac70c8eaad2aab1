"""The training, validation and test images of a task, whole on the device."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from pruning.data.store import OPTIONAL, read_header
from pruning.data.validation import Validation
from pruning.errors import PruningError
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


class StoredSplit:
    """A :class:`Split` that is read when its images or labels are first looked at.

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
        read: Callable[[], Split],
    ) -> None:
        self.count, self.shape, self.device, self.read = count, shape, device, read

    def __len__(self) -> int:
        return self.count

    @cached_property
    def images(self) -> Tensor:
        """As of :class:`Split`."""
        return self.read().images

    @cached_property
    def labels(self) -> Tensor:
        """As of :class:`Split`."""
        return self.read().labels


@dataclass(frozen=True)
class Splits:
    """A data set ready to train on.

    Attributes:
        train, validation, test: the three parts; validation may be empty.
        mean, std: of each channel over all prepared training images, in [0, 255].
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
    counts, shape = _sizes(path)
    rest, held_out = validation_indices(header["name"], counts[validation.source], validation)
    if not len(rest):
        raise PruningError(
            f"A validation fraction of {validation.fraction} of the {len(held_out)} "
            f"{validation.source} images leaves no other. Lower it."
        )
    counts |= {"validation": len(held_out), validation.source: len(rest)}

    @cache
    def read() -> dict[str, Split]:
        if read_header(path) != header:  # else images of one go with the counts of the other
            raise PruningError(
                f"The prepared data set {path} was made anew since it was loaded. Load it again."
            )
        parts = _read(path)
        whole = parts[validation.source]
        parts["validation"] = Split(whole.images[held_out], whole.labels[held_out])
        if len(held_out):
            parts[validation.source] = Split(whole.images[rest], whole.labels[rest])
        return {name: Split(s.images.to(device), s.labels.to(device)) for name, s in parts.items()}

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
        mean=tuple(header["mean"]),
        std=tuple(header["std"]),
        record=record,
        **splits,
    )


def _sizes(path: Path | str) -> tuple[dict[str, int], tuple[int, int, int]]:
    """How many training and test images there are, and (H, W, C) of one."""
    with safe_open(path, framework="pt") as file:
        sizes = {s: file.get_slice(f"{s}_images").get_shape() for s in ("train", "test")}
    return {split: size[0] for split, size in sizes.items()}, tuple(sizes["train"][1:])


def _read(path: Path | str) -> dict[str, Split]:
    """All training and test images."""
    with safe_open(path, framework="pt") as file:
        return {
            split: Split(file.get_tensor(f"{split}_images"), file.get_tensor(f"{split}_labels"))
            for split in ("train", "test")
        }
