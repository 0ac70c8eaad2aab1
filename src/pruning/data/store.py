"""A prepared data set on disk: uint8 images and labels in one safetensors file.

Training jobs read this file and nothing else, so they never import torchvision, PIL or
scikit-learn. Images are stored channels-last (N, H, W, C): a permuted view of them is already in
the memory format that convolutions are fastest in.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from pruning.errors import PruningError
from pruning.files import atomic_path

FORMAT = "pruning-dataset-1"
PART = 2**24
OPTIONAL = ("source_sha256", "skipped", "converted")


@dataclass(frozen=True)
class ImageData:
    """A decoded data set.

    Attributes:
        name: what to call it in figures and errors.
        train_images, test_images: uint8, (N, H, W, C).
        train_labels, test_labels: int64, (N,), values below ``len(classes)``.
        classes: class names by label.
        source: where the images came from, for the record.
        source_sha256: of the files they were read from, see :mod:`pruning.data.sources`; None
            where these are not known.
        skipped: files that were left out, counted by reason.
        converted: images that were changed beyond their kind, counted by what was done.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    classes: tuple[str, ...]
    source: str
    source_sha256: str | None = None
    skipped: Mapping[str, int] = field(default_factory=dict)
    converted: Mapping[str, int] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        height, width, channels = self.train_images.shape[1:]
        return channels, height, width

    def channel_statistics(self) -> tuple[list[float], list[float]]:
        """Mean and standard deviation of each channel over the training images, in [0, 255]."""
        pixels = self.train_images.reshape(-1, self.shape[0])
        counts = [_grey_levels(pixels[:, c]) for c in range(self.shape[0])]
        values = np.arange(256, dtype=np.float64)
        means = [float(n @ values / n.sum()) for n in counts]
        variances = [n @ (values - m) ** 2 / n.sum() for n, m in zip(counts, means, strict=True)]
        return means, [float(v**0.5) for v in variances]


def _grey_levels(pixels: np.ndarray) -> np.ndarray:
    """How many pixels have each of the 256 grey levels."""
    # In parts: bincount makes its input eight times as large, gigabytes for 100,000 images.
    parts = (pixels[start : start + PART] for start in range(0, len(pixels), PART))
    return sum(np.bincount(part, minlength=256) for part in parts)


def check(data: ImageData) -> ImageData:
    """Refuse arrays that no training could use.

    Raises:
        PruningError: a wrong type or shape, an empty split, a label out of range, or training
            images in which every pixel is the same.
    """
    for split in ("train", "test"):
        images, labels = getattr(data, f"{split}_images"), getattr(data, f"{split}_labels")
        if images.dtype != np.uint8 or images.ndim != 4 or labels.shape != images.shape[:1]:
            raise PruningError(
                f"Data set {data.name!r}: the {split} images must be uint8 (N, H, W, C) with one "
                f"label each; got {images.dtype} {images.shape} and labels {labels.shape}."
            )
        if len(labels) == 0:
            raise PruningError(f"Data set {data.name!r}: the {split} split has no images.")
        if labels.min() < 0 or labels.max() >= len(data.classes):
            raise PruningError(f"Data set {data.name!r}: a {split} label is not a class.")
    if data.train_images.min() == data.train_images.max():
        raise PruningError(
            f"Data set {data.name!r}: every pixel of every training image is "
            f"{data.train_images.min()}, so there is nothing to learn from. Look at the source "
            "images, and at how they were converted to 8 bits."
        )
    return data


def save(data: ImageData, path: Path | str) -> None:
    """Write a data set atomically."""
    check(data)
    header = {"format": FORMAT, "name": data.name, "classes": data.classes, "source": data.source}
    header["mean"], header["std"] = data.channel_statistics()
    for key in OPTIONAL:  # what a data set does not have is not in its bytes
        if value := getattr(data, key):
            header[key] = value
    tensors = {
        "train_images": data.train_images,
        "train_labels": data.train_labels.astype(np.int64),
        "test_images": data.test_images,
        "test_labels": data.test_labels.astype(np.int64),
    }
    tensors = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    with atomic_path(path) as temporary:
        # One metadata key: safetensors does not keep the order of several, and bytes must repeat.
        save_file(tensors, temporary, metadata={"dataset": json.dumps(header)})


def read_header(path: Path | str) -> dict:
    """Name, classes, source, channel statistics of a prepared data set, and what was left out.

    Raises:
        PruningError: the file is missing, truncated, or not one of ours.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            header = json.loads((file.metadata() or {}).get("dataset", "{}"))
    except FileNotFoundError:
        raise PruningError(
            f"The prepared data set {path} does not exist. Snakemake makes it (rule prepare_data)."
        ) from None
    except (SafetensorError, OSError) as error:
        raise PruningError(
            f"The prepared data set {path} is damaged ({error}). Delete it; the next run makes it "
            "anew from the source files."
        ) from None
    if header.get("format") != FORMAT:
        raise PruningError(
            f"{path} is not a prepared data set of this project (format {FORMAT}). Delete it, or "
            "name another file."
        )
    return header
