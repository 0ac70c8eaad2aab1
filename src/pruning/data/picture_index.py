"""A prepared data set whose images stay in files: a list of them instead of copies.

It has paths, labels, sizes in bytes and checksums of all files. Every file is compared with its
checksum whenever it is read, so that none is trained on that changed since.
"""

import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pruning.data.cut import Cut
from pruning.data.store import INDEX, SPLITS, check_labels
from pruning.errors import PruningError

PARTS = ("paths", "ends", "bytes", "checksums", "labels")


@dataclass(frozen=True)
class Listing:
    """The files of one split, compactly: 1.28 million paths are one array of 50 MB.

    Attributes:
        paths: uint8, all paths one after another, as the file system spells them, from the tree's
            top with ``/`` between folders.
        ends: int64 (N,), where each path ends.
        bytes: int64 (N,), how large each file is.
        checksums: uint32 (N,), CRC-32 of each file.
        labels: int64 (N,).
    """

    paths: np.ndarray
    ends: np.ndarray
    bytes: np.ndarray
    checksums: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.ends)

    def path(self, row: int) -> str:
        """The path of one file, from the tree's top."""
        start = int(self.ends[row - 1]) if row else 0
        return os.fsdecode(self.paths[start : int(self.ends[row])].tobytes())

    @classmethod
    def of(cls, files: Sequence[tuple[str, int, int, int]]) -> "Listing":
        """From (path, bytes, checksum, label) of each file."""
        paths = [os.fsencode(path) for path, *_ in files]
        sizes, checksums, labels = zip(*(rest for _, *rest in files), strict=True)
        return cls(
            np.frombuffer(b"".join(paths), np.uint8).copy(),
            np.cumsum([len(path) for path in paths], dtype=np.int64),
            np.array(sizes, np.int64),
            np.array(checksums, np.uint32),
            np.array(labels, np.int64),
        )


def checksum(content: bytes) -> int:
    """Of a file's bytes. CRC-32 finds damage and edits; it keeps nobody from forging a file."""
    return zlib.crc32(content)


@dataclass(frozen=True)
class PictureIndex:
    """A data set of files; the counterpart of :class:`pruning.data.store.ImageData`.

    Attributes:
        name: what to call it in figures and errors.
        train, test: its files.
        cut: how they become images.
        classes: class names by label.
        source: where the files came from, for the record.
        source_sha256: of their names and bytes, see :mod:`pruning.data.sources`.
        skipped: files that were left out, counted by reason.
        converted: images that are changed beyond their kind when they are read, counted by how.
    """

    name: str
    train: Listing
    test: Listing
    cut: Cut
    classes: tuple[str, ...]
    source: str
    source_sha256: str | None = None
    skipped: Mapping[str, int] = field(default_factory=dict)
    converted: Mapping[str, int] = field(default_factory=dict)

    def check(self) -> None:
        """Refuse a list that is not whole.

        Raises:
            PruningError: an empty split, parts that do not fit each other, a label out of range.
        """
        for split in SPLITS:
            listing: Listing = getattr(self, split)
            check_labels(self.name, split, listing.labels, len(self.classes))
            steps = np.diff(listing.ends, prepend=0)
            lengths = {len(getattr(listing, part)) for part in PARTS[1:]}
            if len(lengths) > 1 or (steps < 1).any() or listing.ends[-1] != len(listing.paths):
                raise PruningError(f"Data set {self.name!r}: the list of {split} files is damaged.")

    def header(self) -> dict[str, Any]:
        """What is written of it besides the arrays."""
        return {
            "format": INDEX,
            "name": self.name,
            "classes": self.classes,
            "source": self.source,
            "cut": self.cut.to_dict(),
            "image": self.cut.shape,
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """What is written of it, by name."""
        return {
            f"{split}_{part}": getattr(getattr(self, split), part)
            for split in SPLITS
            for part in PARTS
        }


def from_arrays(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> PictureIndex:
    """What :meth:`PictureIndex.header` and :meth:`PictureIndex.arrays` were of.

    Raises:
        KeyError, TypeError, PruningError: they are of something else.
    """
    lists = {s: Listing(*(arrays[f"{s}_{part}"] for part in PARTS)) for s in SPLITS}
    return PictureIndex(
        header["name"],
        **lists,
        cut=Cut.from_dict(header["cut"]),
        classes=tuple(header["classes"]),
        source=header["source"],
    )
