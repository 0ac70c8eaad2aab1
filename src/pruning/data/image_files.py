"""Any tree ``train/<class>/**``, ``test/<class>/**`` of images that are read while training."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

from pruning.data.cut import WHITE, Cut
from pruning.data.picture_index import Listing, PictureIndex, checksum
from pruning.data.pictures import Decoder
from pruning.data.sources import of_files
from pruning.data.trees import SPLITS, FolderTree, Found, ImageTree, find_images
from pruning.errors import PruningError
from pruning.option_types import GreyLevel, Pixels

READERS, AT_A_TIME = 8, 256  # threads that wait for the disk, and files that wait for them


def image_files(
    name: str,
    root: Path,
    path: str,
    size: Pixels,
    resize: Pixels | None = None,
    interpolation: Literal["bicubic", "bilinear"] = "bicubic",
    grey: bool = False,
    background: GreyLevel = WHITE,
) -> PictureIndex:
    """List an image tree, classes and images in sorted order; nothing is copied.

    Args:
        name: the data set's key in the configuration.
        root: data folder that a relative ``path`` is under.
        path: the tree's folder, which may lie in other folders there. It has to stay.
        size: pixels of each side of the images that networks see.
        resize: of the shorter side for evaluation, see :class:`pruning.data.cut.Cut`; as ``size``
            without it, so that evaluation sees the largest central square.
        interpolation: how images are resized; both are antialiased.
        grey: decode to one channel.
        background: grey level of what lies behind transparent images.

    Raises:
        PruningError: no such folder, an archive, a file that is no image by its header, or class
            folders that differ between the splits; see :func:`pruning.data.trees.find_images`.
    """
    tree = folder_tree(name, root, path)
    cut = Cut(size, resize or size, interpolation, grey, background)
    return listed(name, find_images(name, tree), cut, f"image files in {path}")


def folder_tree(name: str, root: Path, path: str) -> FolderTree:
    """The tree in a folder.

    Raises:
        PruningError: there is none.
    """
    if not isinstance(path, str):
        raise PruningError(f"Data set {name!r}: `path` is a text, it is {path!r}.")
    where = Path(root, path)
    if where.is_file():
        raise PruningError(
            f"Data set {name!r}: {where} is a file, and images that are read while training must "
            "lie in a folder. Unpack it and name the folder, or take the kind image_folder, which "
            "reads archives and keeps all images in memory."
        )
    if not where.is_dir():
        raise PruningError(
            f"Data set {name!r}: there is no folder {where}. Put the tree there, set PRUNING_DATA "
            "to the folder it is in, or mend `path` in config/config.yaml."
        )
    return FolderTree(name, where)


class _Looked(NamedTuple):
    size: int
    checksum: int
    sha256: str


def listed(name: str, found: ImageTree, cut: Cut, source: str) -> PictureIndex:
    """The list of a tree's images. Every file is read once, and its header is looked at.

    Args:
        name: of the data set.
        found: the images.
        cut: how they will be cut.
        source: where they came from, for the record.

    Raises:
        PruningError: a file that cannot be read, or is no image.
    """
    items = [item for images in found.images.values() for item, _ in images]
    decode = Decoder(name, grey=cut.grey, background=cut.background)
    looked = dict(zip(items, _look(decode, found, items), strict=True))
    return PictureIndex(
        name=name,
        **{split: _listing(found.images[split], looked) for split in SPLITS},
        cut=cut,
        classes=found.classes,
        source=source,
        source_sha256=of_files({_path(item): seen.sha256 for item, seen in looked.items()}),
        skipped=found.skipped,
        converted=decode.notes,
    )


def _look(decode: Decoder, found: ImageTree, items: Sequence[Found]) -> Iterator[_Looked]:
    def read(item: Found) -> tuple[Found, bytes, str]:
        ((_, content),) = found.tree.contents([item.place])
        return item, content, hashlib.sha256(content).hexdigest()

    waiting = iter(items)
    with ThreadPoolExecutor(READERS) as threads:
        while some := list(islice(waiting, AT_A_TIME)):
            for item, content, sha256 in threads.map(read, some):
                decode.look(item.where, content)
                yield _Looked(len(content), checksum(content), sha256)


def _listing(images: Sequence[tuple[Found, int]], looked: dict[Found, _Looked]) -> Listing:
    return Listing.of(
        [(_path(item), looked[item].size, looked[item].checksum, label) for item, label in images]
    )


def _path(item: Found) -> str:
    return "/".join(item.names)
