"""The images of a tree, found by one walk whether it is a folder or an archive.

No numpy here: Snakemake walks the trees of its data sets each time it starts, to see whether they
are still those that were prepared.
"""

import errno
import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from pruning.errors import PruningError

SPLITS = ("train", "test")
IMAGENET = ("train", "val")  # its test images have no labels, so the validation images test
EXTENSIONS = {".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".webp", ".gif", ".tif", ".tiff"}

# What file managers, archivers and file servers leave beside the files of their users.
LITTER = {"__macosx", "thumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "lost+found"}

FOLDER, FILE = "folder", "file"
GONE, CIRCLE, ODD = "gone", "circle", "odd"
REFUSED = {
    GONE: "is a link to nothing that is there",
    CIRCLE: "is a link that goes in a circle",
    ODD: "is neither a file nor a folder",
}


class Entry(NamedTuple):
    """What a folder of a tree holds, links followed.

    Attributes:
        name: in its folder.
        kind: FOLDER, FILE, or why it is neither: GONE, CIRCLE, ODD.
        place: what the tree finds it by.
        identity: of a folder, the same by whatever links it is reached.
    """

    name: str
    kind: str
    place: Any
    identity: Any = None


class Tree(Protocol):
    """A folder on disk, or an archive of one.

    Attributes:
        path: of the folder or the archive.
        top: the folder that holds everything.
        skipped: what was left out when the tree was listed, counted by reason.
    """

    path: Path
    top: Entry
    skipped: Counter[str]

    def entries(self, folder: Entry) -> list[Entry]:
        """What a folder holds, in no order."""

    def shown(self, names: Iterable[str]) -> str:
        """How messages call what lies below these folders."""

    def contents(self, places: Iterable[Any]) -> Iterator[tuple[Any, bytes]]:
        """Places of files, each with its bytes, in any order. A place may be asked for twice."""


class Found(NamedTuple):
    """One image of a tree.

    Attributes:
        names: from the tree's top down; the last is the file's.
        where: the same for messages.
        place: of the file in its tree.
    """

    names: tuple[str, ...]
    where: str
    place: Any


class FolderTree:
    """A folder on disk. Links are followed, also to what lies outside."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path
        self.top = Entry("", FOLDER, path, _identity(path.stat()))
        self.skipped: Counter[str] = Counter()

    def entries(self, folder: Entry) -> list[Entry]:
        """As of :class:`Tree`.

        Raises:
            PruningError: a folder or a file that may not be looked at.
        """
        try:
            with os.scandir(folder.place) as found:
                return [_on_disk(item) for item in found]
        except OSError as error:
            raise PruningError(
                f"Data set {self.name!r}: {error.filename or folder.place} cannot be read "
                f"({error.strerror}). Check its permissions, or remove it."
            ) from None

    def shown(self, names: Iterable[str]) -> str:
        """As of :class:`Tree`."""
        return os.path.join(self.path, *names)

    def contents(self, places: Iterable[Any]) -> Iterator[tuple[Any, bytes]]:
        """As of :class:`Tree`. Raises like :meth:`entries`."""
        for place in places:
            try:
                yield place, Path(place).read_bytes()
            except OSError as error:
                raise PruningError(
                    f"Data set {self.name!r}: {place} cannot be read ({error.strerror}). Mend or "
                    "remove it."
                ) from None


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _on_disk(item: os.DirEntry) -> Entry:
    try:
        found = item.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            return Entry(item.name, CIRCLE, item.path)
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return Entry(item.name, GONE, item.path)
        raise
    if stat.S_ISDIR(found.st_mode):
        return Entry(item.name, FOLDER, item.path, _identity(found))
    return Entry(item.name, FILE if stat.S_ISREG(found.st_mode) else ODD, item.path)


class Walk:
    """A walk through a tree, which counts what it leaves out.

    Args:
        name: of the data set, for messages.
        tree: what is walked.
        splits: what the folders of training and of test images are called.
    """

    def __init__(self, name: str, tree: Tree, splits: tuple[str, str] = SPLITS) -> None:
        self.name, self.tree, self.splits = name, tree, splits
        self.skipped = Counter(tree.skipped)

    def visible(self, folder: Entry, names: tuple[str, ...], strict: bool = True) -> list[Entry]:
        """What a folder holds but for hidden names, sorted.

        Args:
            folder: whose entries.
            names: of the folder, from the top.
            strict: refuse links to nothing, which may have been folders of images; without it
                only those that are called like a split.

        Raises:
            PruningError: a link to nothing or in a circle.
        """
        found = []
        for entry in sorted(self.tree.entries(folder)):
            if entry.name.startswith(".") or entry.name.casefold() in LITTER:
                self.skipped["hidden"] += 1
                continue
            if entry.kind in (GONE, CIRCLE) and (strict or entry.name in self.splits):
                raise self.refusal(
                    (*names, entry.name), f"{REFUSED[entry.kind]}. Mend or remove it"
                )
            found.append(entry)
        return found

    def pictures(self, folder: Entry, names: tuple[str, ...]) -> list[Found]:
        """All images below a folder, sorted by their path.

        Raises:
            PruningError: none, a folder called like an image, a link in a circle.
        """
        unread: Counter[str] = Counter()
        found = list(self._pictures(folder, names, unread))
        if not found:
            endings = ", ".join(f"{count} {what}" for what, count in sorted(unread.items()))
            raise self.refusal(
                names,
                f"holds no image that can be read ({endings or 'no files'}). Images end in "
                f"{', '.join(sorted(EXTENSIONS))}: convert, rename or remove what is there",
            )
        self.skipped += unread
        return sorted(found, key=lambda item: sort_key(item.names))

    def _pictures(
        self, folder: Entry, names: tuple[str, ...], unread: Counter[str]
    ) -> Iterator[Found]:
        for here, entry in self._below(folder, names, strict=True):
            called = os.path.splitext(entry.name)[1].lower()
            if called in EXTENSIONS and entry.kind != FILE:
                what = "is a folder" if entry.kind == FOLDER else REFUSED[entry.kind]
                raise self.refusal(
                    here, f"is called like an image, but {what}. Rename or remove it"
                )
            if called in EXTENSIONS:
                yield Found(here, self.tree.shown(here), entry.place)
            elif entry.kind != FOLDER:
                unread[f"*{called}" if called else "without an ending"] += 1

    def _below(
        self, folder: Entry, names: tuple[str, ...], strict: bool
    ) -> Iterator[tuple[tuple[str, ...], Entry]]:
        """Everything below a folder, with its path from the top. Strict as of :meth:`visible`."""
        todo: list[tuple[Entry, tuple[str, ...], tuple[Any, ...]]] = [(folder, names, ())]
        while todo:
            folder, names, above = todo.pop()
            if folder.identity in above:
                if strict:
                    raise self.refusal(names, f"{REFUSED[CIRCLE]}. Remove it")
                continue
            for entry in self.visible(folder, names, strict):
                here = (*names, entry.name)
                yield here, entry
                if entry.kind == FOLDER:
                    todo.append((entry, here, (*above, folder.identity)))

    def files(self) -> list[Found]:
        """All files of the tree but for hidden ones, sorted by their path."""
        below = self._below(self.tree.top, (), strict=False)
        found = [
            Found(here, self.tree.shown(here), entry.place)
            for here, entry in below
            if entry.kind == FILE
        ]
        return sorted(found, key=lambda item: sort_key(item.names))

    def refusal(self, names: Iterable[str], what: str) -> PruningError:
        """The error about what lies below these folders."""
        return PruningError(f"Data set {self.name!r}: {self.tree.shown(names)} {what}.")


@dataclass(frozen=True)
class ImageTree:
    """The images of a tree ``train/<class>/**``, ``test/<class>/**``.

    Attributes:
        tree: where they are.
        classes: sorted names, in Unicode's composed form.
        images: of each split, each with the index of its class; by class, then by path.
        skipped: what was left out, counted by reason.
    """

    tree: Tree
    classes: tuple[str, ...]
    images: Mapping[str, tuple[tuple[Found, int], ...]]
    skipped: Mapping[str, int]


def find_images(name: str, tree: Tree, folders: tuple[str, str] = SPLITS) -> ImageTree:
    """Walk a tree of two splits, below any number of leading folders.

    A class is a folder directly below a split, with all images below it. Names that begin with a
    dot, and what file managers leave, are passed over.

    Args:
        name: of the data set, for messages.
        tree: a folder or an archive.
        folders: what the splits, training and test, are called there.

    Raises:
        PruningError: no two splits or several pairs of them, a class without images or in one
            split alone, one class, a link to nothing or in a circle, a folder called like an image.
    """
    walk = Walk(name, tree, folders)
    names, splits = _splits(walk)
    found = {folder: _classes(walk, splits[folder], (*names, folder)) for folder in folders}
    classes = _same_classes(walk, names, found)
    images = {
        split: tuple((item, i) for i, label in enumerate(classes) for item in found[folder][label])
        for split, folder in zip(SPLITS, folders, strict=True)
    }
    return ImageTree(tree, classes, images, dict(sorted(walk.skipped.items())))


def has_splits(name: str, tree: Tree, folders: tuple[str, str] = SPLITS) -> bool:
    """Whether there is anything called like a split. Raises like :func:`find_images`."""
    return bool(nearest_splits(Walk(name, tree, folders)))


def sort_key(names: Iterable[str]) -> tuple[str, str]:
    """By the composed form: file systems differ in the form that they keep names in."""
    path = "/".join(names)
    return unicodedata.normalize("NFC", path), path


Level = list[tuple[tuple[str, ...], dict[str, Entry]]]


def nearest_splits(walk: Walk) -> Level:
    """The folders with anything called like a split that are nearest to the top, and these splits.

    Each folder is a path from the top, with the entry of each split by its name.
    """
    for level in _levels(walk):
        if held := [(names, splits) for names, splits in level if splits]:
            return held
    return []


def _levels(walk: Walk) -> Iterator[Level]:
    """Folders and those of their entries that are splits: the top, what it holds, and so on."""
    level, seen = [((), walk.tree.top)], {walk.tree.top.identity}
    while level:
        held, below = [], []
        for names, folder in level:
            folders = [e for e in walk.visible(folder, names, False) if e.kind == FOLDER]
            held.append((names, {e.name: e for e in folders if e.name in walk.splits}))
            for entry in folders:
                if entry.identity not in seen:
                    seen.add(entry.identity)
                    below.append(((*names, entry.name), entry))
        yield held
        level = below


def _splits(walk: Walk) -> tuple[tuple[str, ...], dict[str, Entry]]:
    """The folder with train/ and test/ that is nearest to the top, and these two.

    Nothing is looked for below a folder with one of them: a class may be called ``test``.
    """
    before = Counter(walk.skipped)
    for level in _levels(walk):
        held = [(names, splits) for names, splits in level if splits]
        whole = [(names, splits) for names, splits in held if len(splits) == len(walk.splits)]
        if len(whole) == 1:
            walk.skipped = before
            _count_beside(walk, whole[0][0])
            return whole[0]
        if whole:
            places = " and ".join(walk.tree.shown(names) for names, _ in whole[:2])
            raise PruningError(
                f"Data set {walk.name!r}: {walk.tree.path} holds more than one tree: "
                f"{_both(walk)} are in {places}. Name one of them, or make an archive of one."
            )
        if held:
            names, splits = held[0]
            (there,) = splits
            (missing,) = set(walk.splits) - set(splits)
            raise walk.refusal(
                names,
                f"must hold the same class folders with images under {_both(walk)}; it has "
                f"{there}/ but no {missing}/",
            )
    top = [entry.name for entry in walk.visible(walk.tree.top, (), False)]
    raise walk.refusal(
        (),
        f"must hold the same class folders with images under {_both(walk)}, spelled like this; "
        f"found {_some(top) or 'nothing'}",
    )


def _count_beside(walk: Walk, names: tuple[str, ...]) -> None:
    """Count what lies beside the splits and beside the folders that lead to them."""
    folder = walk.tree.top
    for depth in range(len(names) + 1):
        taken = walk.splits if depth == len(names) else names[depth : depth + 1]
        entries = walk.visible(folder, names[:depth], False)
        beside = [entry.name for entry in entries if entry.name not in taken]
        if beside:
            walk.skipped[f"beside {_both(walk)}"] += len(beside)
        folder = next((entry for entry in entries if entry.name in taken), folder)


def _classes(walk: Walk, split: Entry, names: tuple[str, ...]) -> dict[str, list[Found]]:
    found: dict[str, list[Found]] = {}
    for entry in walk.visible(split, names):
        if entry.kind != FOLDER:
            walk.skipped["in no class folder"] += 1
            continue
        label = unicodedata.normalize("NFC", entry.name)
        if label in found:
            raise walk.refusal(
                names,
                f"has two folders called {label!r}, which differ in how Unicode spells them. Put "
                "their images into one",
            )
        found[label] = walk.pictures(entry, (*names, entry.name))
    return found


def _same_classes(
    walk: Walk, names: tuple[str, ...], found: Mapping[str, Mapping[str, Any]]
) -> tuple[str, ...]:
    train, test = (set(found[folder]) for folder in walk.splits)
    if not train or train != test:
        lacks = [
            f"{folder}/ lacks {_some(missing)}"
            for folder, missing in zip(walk.splits, (test - train, train - test), strict=True)
            if missing
        ]
        raise walk.refusal(
            names,
            f"must hold the same class folders with images under {_both(walk)}; "
            f"{' and '.join(lacks) or 'both hold none'}",
        )
    if len(train) == 1:
        raise walk.refusal(
            names,
            f"holds one class, {_some(train)}, so there is nothing to tell apart. Put the images "
            "into a folder for each class",
        )
    return tuple(sorted(train))


def _both(walk: Walk) -> str:
    return " and ".join(f"{folder}/" for folder in walk.splits)


def _some(names: Iterable[str], most: int = 10) -> str:
    """Names for a message, but not thousands of them."""
    ordered = sorted(names)
    rest = f" and {len(ordered) - most} more" if len(ordered) > most else ""
    return ", ".join(map(repr, ordered[:most])) + rest
