"""Data sets through torchvision, which is imported here and nowhere else.

``size`` resizes every image to size x size pixels.
Files on disk under ``root`` are used before anything is downloaded; a download shows its progress.
"""

import contextlib
import math
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from pruning.data.resize import check_size, resize
from pruning.data.store import ImageData
from pruning.errors import PruningError
from pruning.locks import FileLock

# Attributes of torchvision's classes that say what they keep under the root, beside a folder of
# their own name.
PLACES = ("base_folder", "filename")


def mnist(name: str, root: Path, size: int | None = None) -> ImageData:
    """MNIST, 60,000 + 10,000, 28x28 grey."""
    return _torchvision("MNIST", name, root, size)


def fashion_mnist(name: str, root: Path, size: int | None = None) -> ImageData:
    """Fashion-MNIST, 60,000 + 10,000, 28x28 grey."""
    return _torchvision("FashionMNIST", name, root, size)


def cifar10(name: str, root: Path, size: int | None = None) -> ImageData:
    """CIFAR-10, 50,000 + 10,000, 32x32 RGB."""
    return _torchvision("CIFAR10", name, root, size)


def cifar100(name: str, root: Path, size: int | None = None) -> ImageData:
    """CIFAR-100 with its 100 fine labels, 50,000 + 10,000, 32x32 RGB."""
    return _torchvision("CIFAR100", name, root, size)


def _torchvision(cls_name: str, name: str, root: Path, size: int | None) -> ImageData:
    import torchvision

    check_size(name, size)
    splits = {}
    for split, train in (("train", True), ("test", False)):
        dataset = _open(getattr(torchvision.datasets, cls_name), name, root, train)
        images = np.asarray(dataset.data)
        labels = np.asarray(dataset.targets, dtype=np.int64)
        images = images[..., None] if images.ndim == 3 else images
        if size is not None:
            images = np.stack([resize(image, size) for image in images])
        splits[split] = (images, labels)
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
        except RuntimeError as error:  # torchvision's "not found or corrupted"
            reason = error
        if not (root.exists() and not _writable(root)):
            root.mkdir(parents=True, exist_ok=True)
            return _download(cls, root, train)
    except (OSError, RuntimeError, ValueError, EOFError, AssertionError) as error:
        raise PruningError(
            f"Data set {name!r}: neither usable files under {root} nor a download "
            f"({type(error).__name__}: {error}). Put the original files where torchvision's "
            f"{cls.__name__}(root={str(root)!r}) finds them, or set PRUNING_DATA to the folder "
            "that has them; delete a damaged file first."
        ) from error
    raise PruningError(
        f"Data set {name!r}: torchvision finds no usable {cls.__name__} files under {root} "
        f"({reason}) and that folder is read-only, so they cannot be downloaded there. Set "
        "PRUNING_DATA to another one."
    )


def _download(cls: type, root: Path, train: bool) -> Any:
    """Download, or wait for another process that does.

    What is being downloaded lies in a folder of its own and is moved when it is whole, file by
    file, so that no process reads half of it.
    """
    lock = FileLock(root / f".{cls.__name__}.lock")
    lock.acquire(patience=math.inf)
    try:
        with contextlib.suppress(RuntimeError):  # another one downloaded it meanwhile
            return cls(root=root, train=train, download=False)
        for left in root.glob(f".{cls.__name__}-*.download") if lock.held else ():  # by the killed
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(
            prefix=f".{cls.__name__}-", suffix=".download", dir=root
        ) as folder:
            # Archives that are there are unpacked, not downloaded.
            for name in {cls.__name__, *(getattr(cls, key, "") for key in PLACES)} - {""}:
                if (root / name).is_dir():
                    shutil.copytree(root / name, Path(folder, name))
                elif (root / name).is_file():
                    shutil.copy2(root / name, Path(folder, name))
            cls(root=folder, train=train, download=True)
            _move(Path(folder), root)
        return cls(root=root, train=train, download=False)
    finally:
        lock.release(remove=True)


def _move(source: Path, target: Path) -> None:
    for path in sorted(source.rglob("*")):
        if path.is_file():
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, place)


def _writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK)
