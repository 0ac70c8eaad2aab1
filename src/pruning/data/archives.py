"""Image trees on disk, and in tar and zip archives, which are listed and read in place."""

import bz2
import contextlib
import gzip
import lzma
import posixpath
import stat
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from pruning.data.trees import CIRCLE, FILE, FOLDER, GONE, ODD, Entry, FolderTree, Tree
from pruning.errors import PruningError

ZIP = (b"PK\x03\x04", b"PK\x05\x06")
COMPRESSED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
LINKS = 40  # as many as Linux follows on the way to one file
CHUNK = 2**20


@dataclass
class _Folder:
    entries: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _File:
    place: Any


@dataclass(frozen=True)
class _Link:
    target: str  # from the archive's top


_NOWHERE = _Link("/")


class _Odd:
    """A pipe or a device."""


class Archive:
    """The members of an archive as a tree.

    Links are followed as they would be once it is unpacked, but not out of it. Of members of one
    name the last counts, as it would overwrite the others.

    Args:
        name: of the data set, for messages.
        path: of the archive.
    """

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path
        self.skipped: Counter[str] = Counter()
        self.root = _Folder()
        self.top = Entry("", FOLDER, self.root, id(self.root))
        with self.damage():
            self.fill()

    def fill(self) -> None:
        """Fill the tree by :meth:`add`."""
        raise NotImplementedError

    def entries(self, folder: Entry) -> list[Entry]:
        """As of :class:`pruning.data.trees.Tree`."""
        return [self._entry(name, node) for name, node in folder.place.entries.items()]

    def shown(self, names: Iterable[str]) -> str:
        """As of :class:`pruning.data.trees.Tree`."""
        inside = "/".join(names)
        return f"{self.path}:{inside}" if inside else str(self.path)

    def contents(self, places: Iterable[Any]) -> Iterator[tuple[Any, bytes]]:
        """As of :class:`pruning.data.trees.Tree`."""
        raise NotImplementedError

    @contextlib.contextmanager
    def damage(self) -> Iterator[None]:
        """Whatever fails when an archive is read is about the archive."""
        try:
            yield
        except PruningError:
            raise
        except Exception as error:
            raise PruningError(
                f"Data set {self.name!r}: the archive {self.path} is damaged or neither a tar nor "
                f"a zip file ({' '.join(str(error).split()) or type(error).__name__}). Fetch it "
                "again, or unpack it and name the folder."
            ) from error

    def add(self, member: str, node: Any) -> None:
        """Take in a member; a folder may come after what it holds, or not at all."""
        names = [part for part in member.split("/") if part not in ("", ".")]
        if ".." in names:
            raise PruningError(
                f"Data set {self.name!r}: {self.path} has a member {member!r}, which leads out of "
                "its folder. Make the archive anew."
            )
        if not names:
            return
        folder = self.root
        for part in names[:-1]:
            folder = folder.entries.setdefault(part, _Folder())
            if not isinstance(folder, _Folder):
                self._clash(member)
        known = folder.entries.get(names[-1])
        if isinstance(node, _Folder) and isinstance(known, _Folder):
            return
        if isinstance(known, _Folder) or (known is not None and isinstance(node, _Folder)):
            self._clash(member)
        if known is not None:
            self.skipped["replaced by a later member of the same name"] += 1
        folder.entries[names[-1]] = node

    def _clash(self, member: str) -> None:
        raise PruningError(
            f"Data set {self.name!r}: {self.path} has a member {member!r} that is a folder in one "
            "place and none in another. Make the archive anew."
        )

    def _entry(self, name: str, node: Any) -> Entry:
        node = self.follow(node)
        if isinstance(node, _Folder):
            return Entry(name, FOLDER, node, id(node))
        if isinstance(node, _File):
            return Entry(name, FILE, node.place)
        return Entry(name, node if isinstance(node, str) else ODD, None)

    def follow(self, node: Any) -> Any:
        """The folder or file that a link leads to, or why there is none."""
        hops = 0
        while isinstance(node, _Link):
            hops += 1
            if hops > LINKS:
                return CIRCLE
            node, hops = self._walk_to(node.target, hops)
        return node

    def _walk_to(self, target: str, hops: int) -> tuple[Any, int]:
        """What is at a path; links in its folders lead on from where they lie."""
        node: Any = self.root
        trail: list[_Folder] = []
        todo = [part for part in reversed(target.split("/")) if part not in ("", ".")]
        if target.startswith("/"):
            return GONE, hops
        while todo:
            part = todo.pop()
            if part == "..":
                if not trail:
                    return GONE, hops
                node = trail.pop()
                continue
            if not isinstance(node, _Folder) or part not in node.entries:
                return GONE, hops
            trail.append(node)
            node = node.entries[part]
            if isinstance(node, _Link) and todo:
                hops += 1
                if hops > LINKS:
                    return CIRCLE, hops
                if node.target.startswith("/"):
                    return GONE, hops
                todo += [p for p in reversed(node.target.split("/")) if p not in ("", ".")]
                node, trail = self.root, []
        return node, hops

    @staticmethod
    def link(member: str, target: str) -> _Link:
        """A symbolic link: its target is seen from the folder it lies in."""
        if target.startswith("/"):
            return _Link(target)
        return _Link(posixpath.join(posixpath.dirname(member.lstrip("/")), target))


class TarArchive(Archive):
    """A tar archive, compressed or not. It is read from front to end: once to list, once to read.

    A file's place is how many members are before its own.
    """

    def fill(self) -> None:
        """Take in all members."""
        for place, (item, _) in enumerate(self._members()):
            if item.isdir():
                node: Any = _Folder()
            elif item.issym():
                node = self.link(item.name, item.linkname)
            elif item.islnk():
                node = self._hard_link(item.linkname)
            else:
                node = _File(place) if item.isfile() else _Odd()
            self.add(item.name, node)

    def contents(self, places: Iterable[Any]) -> Iterator[tuple[Any, bytes]]:
        """As of :class:`pruning.data.trees.Tree`."""
        wanted = set(places)
        with self.damage():
            for place, (item, archive) in enumerate(self._members()):
                if place in wanted:
                    yield place, archive.extractfile(item).read()

    def _hard_link(self, target: str) -> Any:
        """What the member of this name is so far: a later one of the same name is another file."""
        node, _ = self._walk_to(target.lstrip("/"), 0)
        return node if isinstance(node, _File | _Link) else _NOWHERE

    def _members(self) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
        with (
            self._open() as file,
            tarfile.open(fileobj=file, mode="r|", tarinfo=_Strict) as archive,
        ):
            while item := archive.next():
                yield item, archive
                archive.members.clear()
            # Python stops at the end mark. Reading on checks what gzip, bzip2 and xz say of the
            # whole, and shows whether archives were joined.
            while block := archive.fileobj.read(CHUNK):
                if block.strip(b"\0"):
                    raise tarfile.ReadError("there is more behind its end")

    def _open(self) -> BinaryIO:
        start = _start(self.path)
        opened = (way for magic, way in COMPRESSED.items() if start.startswith(magic))
        return next(opened, open)(self.path, "rb")


class _Strict(tarfile.TarInfo):
    """Python takes a header that it cannot read for the end, and drops what is behind it."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> tarfile.TarInfo:
        """The next member's header."""
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"{error} at byte {archive.offset}") from None


class ZipArchive(Archive):
    """A zip archive. A file's place is that of its record in the archive's table."""

    def fill(self) -> None:
        """Take in all members."""
        with zipfile.ZipFile(self.path) as archive:
            for place, item in enumerate(archive.infolist()):
                member = _zip_name(item)
                kind = stat.S_IFMT(item.external_attr >> 16)
                if member.endswith("/") or kind == stat.S_IFDIR:
                    self.add(member, _Folder())
                elif kind == stat.S_IFLNK:
                    target = archive.read(item).decode("utf-8", "surrogateescape")
                    self.add(member, self.link(member, target))
                else:
                    self.add(member, _File(place) if kind in (0, stat.S_IFREG) else _Odd())

    def contents(self, places: Iterable[Any]) -> Iterator[tuple[Any, bytes]]:
        """As of :class:`pruning.data.trees.Tree`."""
        with self.damage(), zipfile.ZipFile(self.path) as archive:
            records = archive.infolist()
            for place in places:
                yield place, archive.read(records[place])


def _zip_name(item: zipfile.ZipInfo) -> str:
    # Some archivers write UTF-8 without saying so, and on Windows their own separator.
    name = item.filename
    if not item.flag_bits & 0x800:
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/")


def open_tree(name: str, path: Path) -> Tree:
    """The tree in a folder, a tar archive or a zip archive; these are told apart by their bytes.

    Args:
        name: of the data set, for messages.
        path: of the folder or the archive.

    Raises:
        PruningError: there is none, or the archive is damaged.
    """
    try:
        if path.is_dir():
            return FolderTree(name, path)
        start = _start(path) if path.is_file() else None
    except OSError as error:
        raise PruningError(
            f"Data set {name!r}: {path} cannot be read ({error.strerror}). Check its permissions."
        ) from None
    if start is None:
        raise PruningError(
            f"Data set {name!r}: {path} does not exist. It must be a folder with train/<class>/* "
            "and test/<class>/*, or a tar or zip archive of one; set PRUNING_DATA to the folder it "
            "is in, or mend `path` in config/config.yaml."
        )
    return (ZipArchive if start.startswith(ZIP) else TarArchive)(name, path)


def _start(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(8)
