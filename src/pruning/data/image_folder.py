"""Any tree ``train/<class>/**``, ``test/<class>/**`` of images, in a folder or in an archive."""

from pathlib import Path

import numpy as np

from pruning.data.archives import open_tree
from pruning.data.pictures import WHITE, Decoder, stack
from pruning.data.store import ImageData
from pruning.data.trees import find_images
from pruning.errors import PruningError


def image_folder(
    name: str,
    root: Path,
    path: str,
    size: int | None = None,
    grey: bool = False,
    background: int = WHITE,
) -> ImageData:
    """Decode an image tree, classes and images in sorted order.

    Args:
        name: the data set's key in the configuration.
        root: data folder that a relative ``path`` is under.
        path: the tree's folder, or a tar (compressed or not) or zip archive of it, which is read in
            place. The tree may lie in other folders there.
        size: resize every image to size x size; without it all must already be of one size.
        grey: decode to one channel.
        background: grey level of what lies behind transparent images.

    Raises:
        PruningError: no such tree, an unreadable image, differing sizes, or class folders that
            differ between the splits; see :func:`pruning.data.trees.find_images` and
            :class:`pruning.data.pictures.Decoder`. The message names the file or folder.
    """
    decode = Decoder(name, size, grey, background)
    if not isinstance(path, str):
        raise PruningError(f"Data set {name!r}: `path` is a text, it is {path!r}.")
    found = find_images(name, open_tree(name, Path(root, path)))
    wanted: dict = {}  # where an image is first met decides what errors call it
    for images in found.images.values():
        for item, _ in images:
            wanted.setdefault(item.place, item.where)
    pixels = {
        place: decode(wanted[place], content) for place, content in found.tree.contents(wanted)
    }
    arrays = {}
    for split, images in found.images.items():
        decoded = [(item.where, pixels[item.place]) for item, _ in images]
        arrays[f"{split}_images"] = stack(name, decoded)
        arrays[f"{split}_labels"] = np.array([label for _, label in images])
    return ImageData(
        name=name,
        classes=found.classes,
        source=f"image folder {path}",
        skipped=found.skipped,
        converted=decode.notes,
        **arrays,
    )
