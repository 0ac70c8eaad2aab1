"""Any tree ``train/<class>/*``, ``test/<class>/*`` of images, in a folder or in a tar archive."""

import lzma
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from pruning.data.pictures import EXTENSIONS, decode, stack
from pruning.data.resize import check_size
from pruning.data.store import ImageData
from pruning.errors import PruningError

SPLITS = ("train", "test")

# One image of the tree: split, class, name for errors, its bytes.
Member = tuple[str, str, str, bytes]


def image_folder(
    name: str, root: Path, path: str, size: int | None = None, grey: bool = False
) -> ImageData:
    """Decode an image tree, classes and images in sorted order.

    Args:
        name: the data set's key in the configuration.
        root: data folder that a relative ``path`` is under.
        path: the tree's folder, or a (compressed) tar archive of it, which is read in place.
        size: resize every image to size x size; without it all must already be of one size.
        grey: decode to one channel.

    Raises:
        PruningError: no such tree, an unreadable image, differing sizes, or class folders that
            differ between the splits. The message names the file or folder.
    """
    check_size(name, size)
    if not isinstance(path, str):
        raise PruningError(f"Data set {name!r}: `path` is a text, it is {path!r}.")
    tree = Path(root, path)
    found: dict[str, list[tuple[str, str, np.ndarray]]] = {split: [] for split in SPLITS}
    for split, label, where, content in _members(name, tree):
        found[split].append((label, where, decode(name, where, content, size, grey)))
    classes = {split: sorted({label for label, _, _ in found[split]}) for split in SPLITS}
    if not classes["train"] or classes["train"] != classes["test"]:
        raise PruningError(
            f"Data set {name!r}: {tree} must hold the same class folders with images under train/ "
            f"and test/; found {classes['train'] or 'none'} and {classes['test'] or 'none'}."
        )
    index = {label: i for i, label in enumerate(classes["train"])}
    arrays = {}
    for split, items in found.items():
        items.sort(key=lambda item: (item[0], item[1]))
        arrays[f"{split}_images"] = stack(name, [item[1:] for item in items])
        arrays[f"{split}_labels"] = np.array([index[label] for label, _, _ in items])
    return ImageData(name=name, classes=tuple(index), source=f"image folder {path}", **arrays)


def _members(name: str, tree: Path) -> Iterator[Member]:
    if tree.is_dir():
        for split in SPLITS:
            for file in sorted(tree.glob(f"{split}/*/*")):
                if file.suffix.lower() in EXTENSIONS:
                    yield split, file.parent.name, str(file), file.read_bytes()
        return
    if not tree.is_file():
        raise PruningError(
            f"Data set {name!r}: {tree} does not exist. It must be a folder with train/<class>/* "
            "and test/<class>/*, or a tar archive of one; set PRUNING_DATA to the folder it is in, "
            "or mend `path` in config/config.yaml."
        )
    try:
        with tarfile.open(tree, mode="r|*") as archive:  # a stream: compressed members in one pass
            for item in archive:
                parts = PurePosixPath(item.name).parts[-3:]
                if not item.isfile() or len(parts) < 3 or parts[0] not in SPLITS:
                    continue
                if PurePosixPath(item.name).suffix.lower() in EXTENSIONS:
                    content = archive.extractfile(item).read()
                    yield parts[0], parts[1], f"{tree}:{item.name}", content
    except (tarfile.TarError, EOFError, OSError, lzma.LZMAError, zlib.error) as error:
        raise PruningError(
            f"Data set {name!r}: the archive {tree} is damaged or not a tar file ({error}). "
            "Fetch it again."
        ) from error
