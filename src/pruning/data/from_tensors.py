"""A data set of tensors that are there already, as :func:`pruning.data.splits.load` gives it."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pruning.data import store
from pruning.data.splits import Splits, load
from pruning.data.store import ImageData
from pruning.data.validation import Validation
from pruning.errors import PruningError

FEW = (1, 3, 4)  # channels that pictures have


def data_from_tensors(
    train_images: Any,
    train_labels: Any,
    test_images: Any,
    test_labels: Any,
    *,
    validation: Validation | None = None,
    classes: int | Sequence[str] | None = None,
    name: str = "tensors",
    device: str | torch.device = "cpu",
) -> Splits:
    """Images and labels as a data set to train on. They are copied.

    Images are (N, C, H, W), as torch has them: uint8, or floating point in [0, 1] if they are
    multiples of 1/255, as ``torchvision.transforms.ToTensor`` makes them of uint8. They are
    normalized by the recipe and not before.

    Args:
        train_images, test_images: tensors, or what ``torch.as_tensor`` takes.
        train_labels, test_labels: integers (N,), from 0.
        validation: how to split; without it, 20 % of the test images validate.
        classes: how many there are, or their names by label. Without it there are as many as there
            are labels, and every one must occur in training.
        name: what to call it in summaries; decides, with the number of images, which validate.
        device: where the images are kept.

    Raises:
        PruningError: images of another type, shape or range, in another order of axes, or all of
            one value; labels that are no classes, or of one class only.
    """
    images = {
        "train": _images("train", train_images, name),
        "test": _images("test", test_images, name),
    }
    if images["train"].shape[1:] != images["test"].shape[1:]:
        shapes = (tuple(split.shape[1:]) for split in images.values())
        raise PruningError(
            "Data set {!r}: training images are {}, test images {}; they must be alike.".format(
                name, *shapes
            )
        )
    labels = {
        "train": _labels("train", train_labels, len(images["train"]), name),
        "test": _labels("test", test_labels, len(images["test"]), name),
    }
    data = ImageData(
        name=name,
        train_images=_stored(images["train"]),
        train_labels=labels["train"],
        test_images=_stored(images["test"]),
        test_labels=labels["test"],
        classes=_classes(classes, labels, name),
        source="tensors",
    )
    _check_range(data)
    # By way of a file, so that there is one way in which images are split.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "data.safetensors")
        store.save(data, path)
        splits = load(path, validation, device)
        for split in (splits.train, splits.validation, splits.test):
            split.images, split.labels  # noqa: B018 - read while the file is there
    return splits


def _tensor(where: str, value: Any) -> Tensor:
    try:
        return torch.as_tensor(value).detach().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise PruningError(f"{where} are no tensor ({error}).") from None


def _images(split: str, value: Any, name: str) -> Tensor:
    """uint8 (N, C, H, W)."""
    where = f"Data set {name!r}: the {split} images"
    images = _tensor(where, value)
    if images.ndim != 4:
        hint = " Grey images have one channel: `images.unsqueeze(1)`." if images.ndim == 3 else ""
        raise PruningError(f"{where} must be (N, C, H, W), they are {tuple(images.shape)}.{hint}")
    if not len(images):
        raise PruningError(f"{where} are none at all.")
    _, channels, height, width = images.shape
    if channels > max(FEW) and width in FEW and (width > 1 or channels == height):
        raise PruningError(
            f"{where} are {tuple(images.shape)}, which looks like (N, H, W, C). They must be "
            "(N, C, H, W): `images.permute(0, 3, 1, 2)`."
        )
    return _uint8(images, where)


def _stored(images: Tensor) -> np.ndarray:
    """(N, H, W, C), as data sets are kept."""
    return np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy())


def _uint8(images: Tensor, where: str) -> Tensor:
    if images.dtype == torch.uint8:
        return images
    kind = str(images.dtype).removeprefix("torch.")
    if not images.is_floating_point():
        raise PruningError(
            f"{where} are {kind}; they must be uint8, 0 to 255. Convert them: where all values lie "
            "in that range, `images.to(torch.uint8)`."
        )
    if not bool(((images >= 0) & (images <= 1)).all()):
        low, high = (f"{float(end):g}" for end in (images.min(), images.max()))
        raise PruningError(
            f"{where} are {kind} from {low} to {high}; they must be uint8, or lie in [0, 1]. Give "
            "them before they are normalized: the recipe's batches say how they will be."
        )
    levels = (images.double() * 255).round()
    # As ToTensor divides: in the images' own type.
    if not torch.equal((levels.to(images.dtype) / 255), images):
        raise PruningError(
            f"{where} are {kind} with values that are no multiples of 1/255, and would be rounded "
            "to 8 bits. Round them yourself: `(images * 255).round().to(torch.uint8)`."
        )
    return levels.to(torch.uint8)


def _labels(split: str, value: Any, count: int, name: str) -> np.ndarray:
    where = f"Data set {name!r}: the {split} labels"
    labels = _tensor(where, value)
    kind = str(labels.dtype).removeprefix("torch.")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise PruningError(f"{where} are {kind}; they must be integers, the class of each image.")
    if tuple(labels.shape) != (count,):
        raise PruningError(
            f"{where} are {tuple(labels.shape)}; there must be one for each of {count} images, "
            f"({count},)."
        )
    return labels.to(torch.int64).numpy()


def _classes(
    given: int | Sequence[str] | None, labels: dict[str, np.ndarray], name: str
) -> tuple[str, ...]:
    if isinstance(given, int) and not isinstance(given, bool):
        return tuple(map(str, range(given)))
    if given is not None:
        names = tuple(map(str, given)) if not isinstance(given, str | bool) else ()
        if not names or len(set(names)) < len(names):
            raise PruningError(
                f"Data set {name!r}: `classes` is a number, or a different name for each label; it "
                f"is {given!r}."
            )
        return names
    found = sorted(set(labels["train"].tolist()))
    if found != list(range(len(found))):
        raise PruningError(
            f"Data set {name!r}: the training labels are {_shown(found)}, and not 0, 1, ... "
            "without a gap. Number classes from 0, or say how many there are as `classes`."
        )
    return tuple(map(str, found))


def _check_range(data: ImageData) -> None:
    """Say which label is wrong; :class:`pruning.data.store.ImageData` has the rest."""
    count = len(data.classes)
    if count < 2:
        raise PruningError(
            f"Data set {data.name!r} has fewer than two classes, so there is nothing to learn."
        )
    for split in ("train", "test"):
        labels = getattr(data, f"{split}_labels")
        wrong = sorted({int(label) for label in labels if not 0 <= label < count})
        if wrong:
            raise PruningError(
                f"Data set {data.name!r}: {split} labels are {_shown(wrong)}, but there are "
                f"{count} classes, 0 to {count - 1}."
            )


def _shown(values: list[int]) -> str:
    return ", ".join(map(str, values[:6])) + (", ..." if len(values) > 6 else "")
