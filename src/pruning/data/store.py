"""A prepared data set on disk: uint8 images and labels in one safetensors file.

Or, where there are too many images, a list of their files: :mod:`pruning.data.picture_index`; or
text: :mod:`pruning.data.text_store`.

Training jobs read this file and nothing else, so they never import torchvision, PIL or
scikit-learn. Images are stored channels-last (N, H, W, C): a permuted view of them is already in
the memory format that convolutions are fastest in.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from pruning import seals
from pruning.errors import PruningError
from pruning.files import atomic_path, reading

FORMAT = "pruning-dataset-1"
INDEX = "pruning-picture-index-1"  # of a list of files instead of their images
TEXT = "pruning-text-1"  # of text: pruning.data.text_store
WHAT = {FORMAT: "images", INDEX: "images", TEXT: "text"}  # by format
PART = 2**24
SPLITS = ("train", "test")
OPTIONAL = ("source_sha256", "skipped", "converted")
Shapes = dict[str, tuple[int, ...]]


class Prepared(Protocol):
    """What is written as a prepared data set.

    Attributes:
        source_sha256, skipped, converted: as of :class:`ImageData`, whatever its examples are.
    """

    source_sha256: str | None
    skipped: Mapping[str, int]
    converted: Mapping[str, int]

    def check(self) -> None:
        """Refuse what no training could use. Raises PruningError."""

    def header(self) -> dict[str, Any]:
        """Plain values that are written: ``format``, ``name``, ``source``, ..."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Arrays that are written, by name; of images ``train_labels`` and ``test_labels`` among
        them."""


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

    def check(self) -> None:
        """Refuse arrays that no training could use.

        Raises:
            PruningError: a wrong type or shape, an empty split, a label out of range, or training
                images in which every pixel is the same.
        """
        for split in SPLITS:
            images, labels = getattr(self, f"{split}_images"), getattr(self, f"{split}_labels")
            if images.dtype != np.uint8 or images.ndim != 4 or labels.shape != images.shape[:1]:
                raise PruningError(
                    f"Data set {self.name!r}: the {split} images must be uint8 (N, H, W, C) with "
                    f"one label each; got {images.dtype} {images.shape} and labels {labels.shape}."
                )
            check_labels(self.name, split, labels, len(self.classes))
        if self.train_images.min() == self.train_images.max():
            raise PruningError(
                f"Data set {self.name!r}: every pixel of every training image is "
                f"{self.train_images.min()}, so there is nothing to learn from. Look at the source "
                "images, and at how they were converted to 8 bits."
            )

    def header(self) -> dict[str, Any]:
        """What is written of it besides the arrays."""
        mean, std = self.channel_statistics()
        told = {"name": self.name, "classes": self.classes, "source": self.source}
        return {"format": FORMAT, **told, "mean": mean, "std": std}

    def arrays(self) -> dict[str, np.ndarray]:
        """What is written of it, by name."""
        return {
            "train_images": self.train_images,
            "train_labels": self.train_labels.astype(np.int64),
            "test_images": self.test_images,
            "test_labels": self.test_labels.astype(np.int64),
        }


def check_labels(name: str, split: str, labels: np.ndarray, classes: int) -> None:
    """Refuse a split without images, or a label of no class."""
    if len(labels) == 0:
        raise PruningError(f"Data set {name!r}: the {split} split has no images.")
    if labels.min() < 0 or labels.max() >= classes:
        raise PruningError(f"Data set {name!r}: a {split} label is not a class.")


def _grey_levels(pixels: np.ndarray) -> np.ndarray:
    """How many pixels have each of the 256 grey levels."""
    # In parts: bincount makes its input eight times as large, gigabytes for 100,000 images.
    parts = (pixels[start : start + PART] for start in range(0, len(pixels), PART))
    return sum(np.bincount(part, minlength=256) for part in parts)


def save(data: Prepared, path: Path | str) -> None:
    """Write a data set atomically.

    Raises:
        PruningError: one that no training could use; see also :func:`pruning.files.atomic_path`.
    """
    data.check()
    header = data.header()
    for key in OPTIONAL:  # what a data set does not have is not in its bytes
        if value := getattr(data, key):
            header[key] = value
    tensors = {name: np.ascontiguousarray(array) for name, array in data.arrays().items()}
    header = seals.sealed(header | {"tensors": _checksum(tensors)}, path)
    with atomic_path(path) as temporary:
        # One metadata key: safetensors does not keep the order of several, and bytes must repeat.
        save_file(tensors, temporary, metadata={"dataset": json.dumps(header)})


def _checksum(arrays: Mapping[str, np.ndarray]) -> str:
    return seals.content({n: (str(a.dtype), a.shape, _bytes(a)) for n, a in arrays.items()})


def _bytes(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def read_header(path: Path | str) -> dict:
    """Name, classes, source, channel statistics of a prepared data set, and what was left out.

    Raises:
        PruningError: the file is missing, damaged, of another place, or not one of ours.
    """
    return _open(path)[0]


def read_shapes(path: Path | str) -> dict[str, tuple[int, ...]]:
    """(N, H, W, C) of the ``train`` and the ``test`` images. Raises as :func:`read_header`."""
    return _open(path)[1]


def _open(path: Path | str) -> tuple[dict, Shapes]:
    header, sizes = opened(path, FORMAT, INDEX)
    _check_classes(header, path)
    shapes = (_listed if header["format"] == INDEX else _decoded)(header, sizes)
    if len(shapes) < len(SPLITS) or any(len(s) != 4 or 0 in s for s in shapes.values()):
        raise _wrong(path, "there are no training or test images, or they are not (N, H, W, C)")
    if header["format"] == FORMAT:
        _check_statistics(header, path, channels=shapes["train"][3])
    return header, shapes


def opened(path: Path | str, *formats: str) -> tuple[dict, Shapes]:
    """The header of a prepared data set, and the shape of each array that it has.

    Args:
        path: the file.
        formats: keys of :data:`WHAT` that will do; all of them without any.

    Raises:
        PruningError: the file is missing, damaged, of another place, or not one of ours; it is of
            something else than is wanted.
    """
    try:
        with reading(path), safe_open(path, framework="numpy") as file:
            told = (file.metadata() or {}).get("dataset", "{}")
            has = set(file.keys())
            sizes = {name: tuple(file.get_slice(name).get_shape()) for name in has}
        header = seals.opened(json.loads(told), path)
    except SafetensorError as error:
        raise PruningError(
            f"The prepared data set {path} is damaged ({error}). Delete it; the next run makes it "
            "anew from the source files."
        ) from None
    except (ValueError, RecursionError):
        raise seals.changed(path) from None
    except PruningError as error:
        if Path(path).exists():
            raise
        raise PruningError(
            f"The prepared data set {path} does not exist. Snakemake makes it (rule prepare_data)."
        ) from error
    found = header.get("format") if isinstance(header, dict) else None
    if not isinstance(found, str) or found not in WHAT:
        expected = (formats or (FORMAT,))[0]
        raise PruningError(
            f"{path} is not a prepared data set of this project (format {expected}). Delete it, or "
            "name another file."
        )
    _check_texts(header, path)
    if formats and found not in formats:
        raise PruningError(
            f"Data set {header['name']!r} is {WHAT[found]} ({path}), where {WHAT[formats[0]]} "
            f"should be. Name another `dataset`, or a `task` that learns from {WHAT[found]}."
        )
    return header, sizes


def _decoded(_header: dict, sizes: Shapes) -> Shapes:
    """(N, H, W, C) of each split that is there, of decoded images."""
    here = [s for s in SPLITS if {f"{s}_images", f"{s}_labels"} <= sizes.keys()]
    return {split: sizes[f"{split}_images"] for split in here}


def _listed(header: dict, sizes: Shapes) -> Shapes:
    """The same of a list of files."""
    image = header.get("image")
    if not isinstance(image, list) or not all(isinstance(side, int) for side in image):
        return {}
    return {s: (*sizes[f"{s}_labels"], *image) for s in SPLITS if f"{s}_labels" in sizes}


def _check_texts(header: dict, path: Path | str) -> None:
    for key in ("name", "source"):
        if not isinstance(header.get(key), str):
            raise _wrong(path, f"`{key}` is no text")


def _check_classes(header: dict, path: Path | str) -> None:
    classes = header.get("classes")
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise _wrong(path, "`classes` is no list of names")


def _check_statistics(header: dict, path: Path | str, channels: int) -> None:
    for key in ("mean", "std"):
        values = header.get(key)
        if (
            not isinstance(values, list)
            or len(values) != channels
            or not all(isinstance(v, int | float) and 0 <= v <= 255 for v in values)
        ):
            raise _wrong(path, f"`{key}` is not a number from 0 to 255 for each channel")


def read_arrays(path: Path | str, header: Mapping) -> dict[str, np.ndarray]:
    """All arrays of a prepared data set, by their names.

    Args:
        path: the file.
        header: of :func:`opened`.

    Raises:
        PruningError: they are not as they were written.
    """
    try:
        with reading(path), safe_open(path, framework="numpy") as file:
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError:
        raise seals.changed(path) from None
    check_read(header, found, path)
    return found


def check_read(header: Mapping, arrays: Mapping[str, np.ndarray], path: Path | str) -> None:
    """Refuse arrays that are not as they were written.

    Args:
        header: of :func:`read_header`.
        arrays: by their names in the file.
        path: the file.

    Raises:
        PruningError: naming the file.
    """
    if "tensors" not in header:
        if seals.place(path) is not None:
            raise seals.unsealed(path)
    elif header["tensors"] != _checksum(arrays):
        raise seals.changed(path)


def checked(data: Prepared, path: Path | str) -> None:
    """As its ``check``, with the file that it was read from in the message."""
    try:
        data.check()
    except PruningError as error:
        raise PruningError(f"{path}: {error}") from None


def _wrong(path: Path | str, what: str) -> PruningError:
    return PruningError(
        f"The prepared data set {path} is not as this project writes them: {what}. {seals.AGAIN}"
    )
