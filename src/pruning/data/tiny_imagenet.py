"""Tiny ImageNet (Le & Yang 2015), from the tree that its archive unpacks to."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pruning.data.pictures import Decoder, stack
from pruning.data.store import ImageData
from pruning.data.trees import FOLDER, FolderTree, Walk
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
        PruningError: no such tree, one class, a class without training images, a validation image
            without a label or a label without its image, an unknown class, an unreadable image,
            differing sizes. The message names the file or folder.
    """
    decode = Decoder(name, size)
    if not isinstance(path, str):
        raise PruningError(f"Data set {name!r}: `path` is a text, it is {path!r}.")
    tree = Path(root, path)
    annotations = tree / "val" / "val_annotations.txt"
    skipped: Counter[str] = Counter()
    classes = _classes(name, tree, skipped) if (tree / "train").is_dir() else []
    if not classes or not annotations.is_file():
        raise PruningError(
            f"Data set {name!r}: {tree} must be a folder with {LAYOUT}. Unpack the archive in the "
            "data folder, set PRUNING_DATA to the folder it is in, or mend `path` in "
            "config/config.yaml."
        )
    if len(classes) == 1:
        raise PruningError(
            f"Data set {name!r}: {tree / 'train'} holds one class, {classes[0]!r}, so there is "
            "nothing to tell apart. Unpack the archive again."
        )
    train = _train_files(name, tree, classes, skipped)
    test = _val_files(name, annotations, classes, skipped)
    return ImageData(
        name=name,
        train_images=_read(decode, [file for file, _ in train]),
        train_labels=np.array([label for _, label in train]),
        test_images=_read(decode, [file for file, _ in test]),
        test_labels=np.array([label for _, label in test]),
        classes=tuple(classes),
        source=f"Tiny ImageNet in {path}, val is test",
        skipped=dict(sorted(skipped.items())),
        converted=decode.notes,
    )


def _classes(name: str, tree: Path, skipped: Counter[str]) -> list[str]:
    walk = Walk(name, FolderTree(name, tree / "train"))
    entries = walk.visible(walk.tree.top, ())
    folders = [entry.name for entry in entries if entry.kind == FOLDER]
    skipped.update(walk.skipped)
    if len(entries) > len(folders):
        skipped["in no class folder"] += len(entries) - len(folders)
    listed = tree / "wnids.txt"
    if not listed.is_file():
        return folders
    classes = sorted(set(listed.read_text(encoding="utf-8", errors="replace").split()))
    for folder in sorted(set(folders) - set(classes)):
        raise PruningError(
            f"Data set {name!r}: {tree / 'train' / folder} is of no class in {listed}. Remove the "
            "folder, or unpack the archive again."
        )
    return classes


def _train_files(
    name: str, tree: Path, classes: Sequence[str], skipped: Counter[str]
) -> list[tuple[Path, int]]:
    found = []
    for label, wnid in enumerate(classes):
        folder = tree / "train" / wnid / "images"
        if not folder.is_dir():
            raise PruningError(
                f"Data set {name!r}: class {wnid} has no images in {folder}. Unpack the archive "
                "again."
            )
        found += [(file, label) for file in _pictures(name, folder, skipped).values()]
    return found


def _val_files(
    name: str, annotations: Path, classes: Sequence[str], skipped: Counter[str]
) -> list[tuple[Path, int]]:
    """Validation images with labels; a line is a file name, a class and four sides of a box."""
    index = {wnid: label for label, wnid in enumerate(classes)}
    labels: dict[str, int] = {}
    lines = annotations.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
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
    files = _pictures(name, annotations.parent / "images", skipped)
    for missing in sorted(labels.keys() ^ files.keys()):
        what = "has a label but is missing" if missing in labels else "has no label"
        raise PruningError(
            f"Data set {name!r}: {annotations.parent / 'images' / missing} {what} "
            f"({annotations.name} lists {len(labels)} images). Unpack the archive again."
        )
    return [(path, labels[file]) for file, path in files.items()]


def _pictures(name: str, folder: Path, skipped: Counter[str]) -> dict[str, Path]:
    """The images below a folder by their names in it, sorted."""
    if not folder.is_dir():
        return {}
    walk = Walk(name, FolderTree(name, folder))
    found = walk.pictures(walk.tree.top, ())
    skipped.update(walk.skipped)
    return {"/".join(item.names): Path(item.place) for item in found}


def _read(decode: Decoder, files: Sequence[Path]) -> np.ndarray:
    return stack(decode.name, [(str(file), decode(str(file), file.read_bytes())) for file in files])
