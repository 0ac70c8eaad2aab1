"""From the files people have to arrays. Runs once per data set, in a stage of its own.

The heavy readers (torchvision, scikit-learn) are imported inside the functions that use them.
torchvision uses what is on disk under ``root`` before it downloads, and shows its progress.
"""

from pathlib import Path
from typing import Any

import numpy as np

from pruning.data.store import ImageData
from pruning.errors import PruningError


def prepare(name: str, kind: str, root: Path, options: dict[str, Any]) -> ImageData:
    """Decode one data set.

    Args:
        name: the key it has in the configuration.
        kind: a name in :data:`pruning.registry.DATASET_KINDS`.
        root: folder to look in, and to download to.
        options: what the kind takes besides.

    Raises:
        PruningError: unknown kind or option; files missing, unreadable or damaged.
    """
    from pruning import registry

    reader = registry.find("data set kind", kind)
    try:
        return reader(name, root, **options)
    except TypeError as error:
        if "unexpected keyword" not in str(error) and "required" not in str(error):
            raise
        raise PruningError(
            f"Data set {name!r} (kind {kind}) has an option that does not fit: {error}. "
            "See config/README.md for the options of each kind."
        ) from None


def digits(name: str, root: Path) -> ImageData:
    """scikit-learn's 1,797 handwritten digits, 8x8 pixels, 17 grey levels; nothing to download.

    The set has no published test split: a fixed, stratified quarter is held out (the last quarter
    of each class in file order, which keeps some writers out of training altogether).
    """
    from sklearn.datasets import load_digits

    source = load_digits()
    images = np.round(source.images * (255 / 16)).astype(np.uint8)[..., None]
    labels = source.target.astype(np.int64)
    test = np.zeros(len(labels), dtype=bool)
    for label in range(10):
        members = np.flatnonzero(labels == label)
        test[members[-(len(members) // 4) :]] = True
    return ImageData(
        name=name,
        train_images=images[~test],
        train_labels=labels[~test],
        test_images=images[test],
        test_labels=labels[test],
        classes=tuple(str(d) for d in range(10)),
        source="sklearn.datasets.load_digits (UCI optdigits); last quarter of each class is test",
    )


def mnist(name: str, root: Path) -> ImageData:
    """MNIST, 60,000 + 10,000, 28x28 grey."""
    return _torchvision("MNIST", name, root)


def fashion_mnist(name: str, root: Path) -> ImageData:
    """Fashion-MNIST, 60,000 + 10,000, 28x28 grey."""
    return _torchvision("FashionMNIST", name, root)


def cifar10(name: str, root: Path) -> ImageData:
    """CIFAR-10, 50,000 + 10,000, 32x32 RGB."""
    return _torchvision("CIFAR10", name, root)


def cifar100(name: str, root: Path) -> ImageData:
    """CIFAR-100 with its 100 fine labels, 50,000 + 10,000, 32x32 RGB."""
    return _torchvision("CIFAR100", name, root)


def _torchvision(cls_name: str, name: str, root: Path) -> ImageData:
    import torchvision

    splits = {}
    for split, train in (("train", True), ("test", False)):
        dataset = _open(getattr(torchvision.datasets, cls_name), name, root, train)
        images = np.asarray(dataset.data)
        labels = np.asarray(dataset.targets, dtype=np.int64)
        splits[split] = (images[..., None] if images.ndim == 3 else images, labels)
    return ImageData(
        name=name,
        train_images=splits["train"][0],
        train_labels=splits["train"][1],
        test_images=splits["test"][0],
        test_labels=splits["test"][1],
        classes=tuple(dataset.classes),
        source=f"torchvision.datasets.{cls_name}",
    )


def _open(cls: type, name: str, root: Path, train: bool) -> Any:
    """The data set from the files under ``root``, downloading only where there are none."""
    try:
        try:
            return cls(root=root, train=train, download=False)
        except RuntimeError:  # torchvision's "not found or corrupted"
            pass
        if not (root.exists() and not _writable(root)):
            root.mkdir(parents=True, exist_ok=True)
            return cls(root=root, train=train, download=True)
    except (OSError, RuntimeError, ValueError, EOFError, AssertionError) as error:
        raise PruningError(
            f"Data set {name!r}: neither usable files under {root} nor a download "
            f"({type(error).__name__}: {error}). Put the original files where torchvision's "
            f"{cls.__name__}(root={str(root)!r}) finds them, or set PRUNING_DATA to the folder "
            "that has them; delete a damaged file first."
        ) from error
    raise PruningError(
        f"Data set {name!r}: torchvision finds no {cls.__name__} files under {root}, and that "
        "folder is read-only, so they cannot be downloaded there. Set PRUNING_DATA to another one."
    )


def _writable(folder: Path) -> bool:
    import os

    return os.access(folder, os.W_OK)
