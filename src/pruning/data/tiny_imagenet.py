"""Tiny ImageNet (Le & Yang 2015), from the tree that its archive unpacks to."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pruning.data.pictures import EXTENSIONS, decode, stack
from pruning.data.resize import check_size
from pruning.data.store import ImageData
from pruning.errors import PruningError

LAYOUT = (
    "train/<class>/images/*.JPEG, val/images/*.JPEG and val/val_annotations.txt, as the archive "
    "of Tiny ImageNet unpacks to"
)


def tiny_imagenet(
    name: str, root: Path, path: str = "tiny-imagenet-200", size: int | None = None
) -> ImageData:
    """Tiny ImageNet: 200 classes, 64x64 RGB, 100,000 training images.

    Its 10,000 validation images are the test split, as the labels of its test images were never
    published. Classes are WordNet ids in sorted order; images are sorted by file name.

    Args:
        name: the data set's key in the configuration.
        root: data folder that a relative ``path`` is under.
        path: the folder with ``train`` and ``val``.
        size: resize every image to size x size.

    Raises:
        PruningError: no such tree, a class without training images, a validation image without a
            label or a label without its image, an unknown class, an unreadable image, differing
            sizes. The message names the file or folder.
    """
    check_size(name, size)
    if not isinstance(path, str):
        raise PruningError(f"Data set {name!r}: `path` is a text, it is {path!r}.")
    tree = Path(root, path)
    annotations = tree / "val" / "val_annotations.txt"
    classes = _classes(tree) if (tree / "train").is_dir() else []
    if not classes or not annotations.is_file():
        raise PruningError(
            f"Data set {name!r}: {tree} must be a folder with {LAYOUT}. Unpack the archive in the "
            "data folder, set PRUNING_DATA to the folder it is in, or mend `path` in "
            "config/config.yaml."
        )
    train = _train_files(name, tree, classes)
    test = _val_files(name, annotations, classes)
    return ImageData(
        name=name,
        train_images=_read(name, [file for file, _ in train], size),
        train_labels=np.array([label for _, label in train]),
        test_images=_read(name, [file for file, _ in test], size),
        test_labels=np.array([label for _, label in test]),
        classes=tuple(classes),
        source=f"Tiny ImageNet in {path}, val is test",
    )


def _classes(tree: Path) -> list[str]:
    listed = tree / "wnids.txt"
    if listed.is_file():
        return sorted(set(listed.read_text("utf-8", "replace").split()))
    return sorted(folder.name for folder in (tree / "train").iterdir() if folder.is_dir())


def _train_files(name: str, tree: Path, classes: Sequence[str]) -> list[tuple[Path, int]]:
    for folder in sorted((tree / "train").iterdir()):
        if folder.is_dir() and folder.name not in classes:
            raise PruningError(
                f"Data set {name!r}: {folder} is of no class in {tree / 'wnids.txt'}. Remove the "
                "folder, or unpack the archive again."
            )
    found = []
    for label, wnid in enumerate(classes):
        files = _pictures(tree / "train" / wnid / "images")
        if not files:
            raise PruningError(
                f"Data set {name!r}: class {wnid} has no images in "
                f"{tree / 'train' / wnid / 'images'}. Unpack the archive again."
            )
        found += [(file, label) for file in files]
    return found


def _val_files(name: str, annotations: Path, classes: Sequence[str]) -> list[tuple[Path, int]]:
    """Validation images with labels; a line is a file name, a class and four sides of a box."""
    index = {wnid: label for label, wnid in enumerate(classes)}
    labels: dict[str, int] = {}
    for number, line in enumerate(annotations.read_text("utf-8", "replace").splitlines(), start=1):
        file, wnid, *_ = *line.split(), "", ""
        if wnid not in index:
            raise PruningError(
                f"Data set {name!r}: line {number} of {annotations} gives {file!r} the class "
                f"{wnid!r}, which the training images do not have. Unpack the archive again."
            )
        labels[file] = index[wnid]
    if not labels:
        raise PruningError(
            f"Data set {name!r}: {annotations} lists no images. Unpack the archive again."
        )
    files = {file.name: file for file in _pictures(annotations.parent / "images")}
    for missing in sorted(labels.keys() ^ files.keys()):
        what = "has a label but is missing" if missing in labels else "has no label"
        raise PruningError(
            f"Data set {name!r}: {annotations.parent / 'images' / missing} {what} "
            f"({annotations.name} lists {len(labels)} images). Unpack the archive again."
        )
    return [(files[file], labels[file]) for file in sorted(files)]


def _pictures(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*") if file.suffix.lower() in EXTENSIONS)


def _read(name: str, files: Sequence[Path], size: int | None) -> np.ndarray:
    pictures = (decode(name, str(file), file.read_bytes(), size, grey=False) for file in files)
    return stack(name, list(zip(map(str, files), pictures, strict=True)))
