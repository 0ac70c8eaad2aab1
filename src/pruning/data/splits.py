"""The training, validation and test images of a task, whole on the device."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from pruning.data.store import read_header
from pruning.data.validation import Validation
from pruning.seeds import generator


@dataclass(frozen=True)
class Split:
    """Images uint8 (N, H, W, C) and labels int64 (N,), on the device."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


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
    train: Split
    validation: Split
    test: Split
    mean: tuple[float, ...]
    std: tuple[float, ...]
    record: dict

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        height, width, channels = self.train.images.shape[1:]
        return channels, height, width


def validation_indices(name: str, count: int, validation: Validation) -> tuple[Tensor, Tensor]:
    """Indices (rest, validation) of ``count`` images: the same for every seed and every study."""
    chosen = round(validation.fraction * count)
    order = torch.randperm(count, generator=generator(0, "validation split", name))
    return order[chosen:].sort().values, order[:chosen].sort().values


def load(
    path: Path | str, validation: Validation | None = None, device: str | torch.device = "cpu"
) -> Splits:
    """Read a prepared data set and split it.

    Args:
        path: the file that the data stage wrote.
        validation: how to split; without it, 20 % of the test images validate.
        device: where the images are kept.

    Raises:
        PruningError: the file is missing, damaged or foreign.
    """
    validation = validation or Validation()
    header = read_header(path)
    with safe_open(path, framework="pt") as file:
        parts = {
            split: (file.get_tensor(f"{split}_images"), file.get_tensor(f"{split}_labels"))
            for split in ("train", "test")
        }
    images, labels = parts[validation.source]
    rest, held_out = validation_indices(header["name"], len(labels), validation)
    parts["validation"] = images[held_out], labels[held_out]
    if len(held_out):
        parts[validation.source] = images[rest], labels[rest]
    splits = {k: Split(i.to(device), y.to(device)) for k, (i, y) in parts.items()}
    record = {
        "dataset": header["name"],
        "source": header["source"],
        "validation_from": validation.source,
        "validation_fraction": validation.fraction,
        "images": {k: len(splits[k]) for k in ("train", "validation", "test")},
        "validation_indices_sha256": hashlib.sha256(held_out.numpy().tobytes()).hexdigest(),
    }
    return Splits(
        name=header["name"],
        classes=tuple(header["classes"]),
        mean=tuple(header["mean"]),
        std=tuple(header["std"]),
        record=record,
        **splits,
    )
