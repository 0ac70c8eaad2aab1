"""ImageNet, ILSVRC2012 (Russakovsky et al. 2015), from the tree that people have."""

from pathlib import Path
from typing import Literal

from pruning.data.cut import Cut
from pruning.data.image_files import folder_tree, listed
from pruning.data.imagenet_tree import find_imagenet
from pruning.data.known import KNOWN
from pruning.data.picture_index import PictureIndex
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
    found = find_imagenet(name, tree)
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
