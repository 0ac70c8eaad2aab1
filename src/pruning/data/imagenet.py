"""ImageNet, ILSVRC2012 (Russakovsky et al. 2015), from the tree that people have."""

from pathlib import Path
from typing import Literal

from pruning.data.cut import Cut
from pruning.data.image_files import folder_tree, listed
from pruning.data.known import KNOWN
from pruning.data.picture_index import PictureIndex
from pruning.data.trees import EXTENSIONS, FILE, FOLDER, IMAGENET, Entry, Walk, find_images
from pruning.errors import PruningError
from pruning.option_types import Pixels

RESIZE = (256, 224)  # the usual evaluation: 224 of 256 pixels


def imagenet(
    name: str,
    root: Path,
    path: str = "imagenet",
    size: Pixels = 224,
    resize: Pixels | None = None,
    interpolation: Literal["bicubic", "bilinear"] = "bicubic",
) -> PictureIndex:
    """List ImageNet's 1,281,167 training and 50,000 validation images; nothing is copied.

    The validation images are the test split, as the labels of its test images were never published.
    Classes are WordNet ids in sorted order, which is the usual order of labels.

    Args:
        name: the data set's key in the configuration.
        root: data folder that a relative ``path`` is under.
        path: the folder with ``train/<wnid>`` and ``val/<wnid>``. It has to stay.
        size: pixels of each side of the images that networks see.
        resize: of the shorter side for evaluation, see :class:`pruning.data.cut.Cut`; 256 for 224,
            and in this proportion, without it.
        interpolation: how images are resized; both are antialiased.

    Raises:
        PruningError: another tree, or one that is not whole; says what to do about usual ones.
    """
    tree = folder_tree(name, root, path)
    if resize is None:
        resize = round(RESIZE[0] * size / RESIZE[1])
    _refuse_packed(Walk(name, tree, IMAGENET))
    found = find_images(name, tree, IMAGENET)
    known = KNOWN["imagenet"]
    counts = (len(found.images["train"]), len(found.images["test"]), len(found.classes))
    if counts != (known.train, known.test, known.classes):
        raise PruningError(
            f"Data set {name!r}: {tree.path} holds {counts[0]:,} training and {counts[1]:,} "
            f"validation images of {counts[2]:,} classes; ILSVRC2012 has {known.train:,}, "
            f"{known.test:,} and {known.classes:,}. Unpack the archives again; a part of ImageNet "
            "that is meant is of the kind image_files, with train/<class> and test/<class> (a link "
            "`test` to `val` will do)."
        )
    return listed(name, found, Cut(size, resize, interpolation), f"ImageNet in {path}, val is test")


def _refuse_packed(walk: Walk) -> None:
    """Refuse what the archives unpack to at first: archives of classes, and images of none."""
    train, val = (_entries(walk, folder) for folder in IMAGENET)
    if any(entry.name.endswith(".tar") for entry in train):
        raise walk.refusal(
            ("train",),
            "holds archives of classes (<wnid>.tar), as ILSVRC2012_img_train.tar unpacks to. "
            "Unpack each into a folder of its name, and remove the archives: `for f in *.tar; do "
            'mkdir "${f%.tar}" && tar xf "$f" -C "${f%.tar}" && rm "$f"; done`',
        )
    flat = any(Path(e.name).suffix.lower() in EXTENSIONS for e in val if e.kind == FILE)
    if flat and not any(entry.kind == FOLDER for entry in val):
        raise walk.refusal(
            ("val",),
            "holds images in no class folder, as ILSVRC2012_img_val.tar unpacks to. Move each into "
            "val/<wnid>: their classes are in the development kit "
            "(data/ILSVRC2012_validation_ground_truth.txt by number, data/meta.mat for the names), "
            "or in Kaggle's LOC_val_solution.csv. torchvision.datasets.ImageNet(folder, "
            "split='val') does it, from both archives",
        )


def _entries(walk: Walk, folder: str) -> list[Entry]:
    top = {entry.name: entry for entry in walk.visible(walk.tree.top, (), False)}
    entry = top.get(folder)
    return walk.visible(entry, (folder,)) if entry is not None and entry.kind == FOLDER else []
