"""Which files a data set is prepared from, and whether they are still the same.

A prepared file says in its header the SHA-256 of what it was read from. Beside it,
``<dataset>.source.json`` says where that was and when its files last changed, so that files nobody
touched need not be read to be recognised. What a touched, moved or copied file holds decides.

No numpy here: Snakemake asks each time it starts.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from pruning.data import text_files, trees
from pruning.data.imagenet_tree import find_imagenet
from pruning.data.notes import note_file
from pruning.data.text_sets import MULTI30K, MULTI30K_TEXTS, WMT16, WMT16_FILES
from pruning.errors import PruningError
from pruning.files import digest, read_json, sha256, write_json

HEADER = 10**8  # bytes, as safetensors has it
CIFAR10 = ("batches.meta", "test_batch", *(f"data_batch_{i}" for i in range(1, 6)))
CIFAR100 = ("meta", "test", "train")
MNIST = (
    *(
        f"raw/{split}-{what}"
        for split in ("train", "t10k")
        for what in ("images-idx3-ubyte", "labels-idx1-ubyte")
    ),
    *("processed/training.pt", "processed/test.pt"),  # read instead, where old versions left them
)
# Options of parallel text: stems of files, their endings, and whole names. Where the vocabulary is
# learned, its option is a number.
PARALLEL = (
    ("train", "validation", "test"),
    ("source", "target"),
    ("vocabulary", "validation_references", "test_references"),
)


@dataclass(frozen=True)
class Source:
    """The files that a data set is prepared from.

    Attributes:
        location: the folder or archive, links resolved.
        files: each by its name in it.
    """

    location: Path
    files: Mapping[str, str]

    @cached_property
    def stamp(self) -> str:
        """A hash of where they are, how large, and when they were last changed; reads none.

        Raises:
            PruningError: a file cannot be looked at.
        """
        # Programs that copy times along do not set when a file was changed last (ctime).
        return digest([_text(str(self.location)), {_text(n): s for n, s in self._found.items()}])

    @cached_property
    def listing(self) -> str:
        """A hash of their names and sizes, wherever they are. Raises like :attr:`stamp`."""
        return digest({_text(name): size for name, (size, *_) in self._found.items()})

    @cached_property
    def _found(self) -> dict[str, tuple[int, int, int]]:
        try:
            return {name: _state(path) for name, path in self.files.items()}
        except OSError as error:
            raise _unreadable(error) from None

    @cached_property
    def sha256(self) -> str:
        """A hash of their names and bytes, wherever they are.

        Raises:
            PruningError: a file cannot be read.
        """
        try:
            return of_files({name: sha256(path) for name, path in self.files.items()})
        except OSError as error:
            raise _unreadable(error) from None


def _state(path: str) -> tuple[int, int, int]:
    found = os.stat(path)
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def of_files(hashes: Mapping[str, str]) -> str:
    """:attr:`Source.sha256` from the SHA-256 of each file, by its name."""
    total = hashlib.sha256()
    for name in sorted(hashes):
        total.update(f"{_text(name)}\0{hashes[name]}\n".encode())
    return total.hexdigest()


def _text(name: str) -> str:
    """A name as JSON and UTF-8 take it, whatever bytes it has on disk."""
    return name.encode("utf-8", "surrogateescape").hex() if not name.isascii() else name


def _unreadable(error: OSError) -> PruningError:
    return PruningError(
        f"{error.filename} cannot be read ({error.strerror}), but a data set is prepared from it. "
        "Check its permissions, or remove it."
    )


def find_source(name: str, kind: str, root: Path, options: Mapping[str, Any]) -> Source | None:
    """The files that a data set would be prepared from now.

    Of kinds from outside the package it is what an option ``path`` names, if there is one.

    Args:
        name: of the data set, for messages.
        kind: of the data set.
        root: the data folder.
        options: what the kind takes besides.

    Returns:
        None where there are no such files (yet, or any more), or where the kind has none.

    Raises:
        PruningError: a tree of images with a fault.
    """
    try:
        location, files = SOURCES.get(kind, _by_path)(name, root, options)
        return Source(location.resolve(), files) if files else None
    except OSError as error:
        raise _unreadable(error) from None


Files = tuple[Path, dict[str, str]]


def _image_tree(
    name: str,
    root: Path,
    options: Mapping[str, Any],
    folders: tuple[str, str] = trees.SPLITS,
    find: Callable[[str, trees.Tree], trees.ImageTree] = trees.find_images,
) -> Files:
    path = _path(root, options)
    if path is None or not path.is_dir():
        return _by_path(name, root, options)
    tree = trees.FolderTree(name, path)
    if not trees.has_splits(name, tree, folders):
        return path, {}
    images = find(name, tree).images
    found = [item for split in images.values() for item, _ in split]
    return path, {"/".join(item.names): item.place for item in found}


def _imagenet(name: str, root: Path, options: Mapping[str, Any]) -> Files:
    options = {"path": "imagenet", **options}
    return _image_tree(name, root, options, trees.IMAGENET, find_imagenet)


def _tiny_imagenet(name: str, root: Path, options: Mapping[str, Any]) -> Files:
    path = _path(root, {"path": "tiny-imagenet-200", **options})
    if path is None or not path.is_dir():
        return Path(root), {}
    whole = _by_path(name, root, {"path": str(path.absolute())})[1]
    read = ("train/", "val/", "wnids.txt")
    return path, {inside: file for inside, file in whole.items() if inside.startswith(read)}


def _by_path(name: str, root: Path, options: Mapping[str, Any]) -> Files:
    path = _path(root, options)
    if path is None or not path.exists():
        return Path(root), {}
    if not path.is_dir():
        return path, {path.name: str(path)} if path.is_file() else {}
    walk = trees.Walk(name, trees.FolderTree(name, path))
    return path, {"/".join(item.names): item.place for item in walk.files()}


def _path(root: Path, options: Mapping[str, Any]) -> Path | None:
    path = options.get("path")
    return Path(root, path) if isinstance(path, str) else None


def _listed(folder: str, files: tuple[str, ...], name: str, root: Path, _options: Any) -> Files:
    paths = {file: Path(root, folder, file) for file in files}
    return Path(root, folder), {file: str(path) for file, path in paths.items() if path.is_file()}


def _parallel(
    name: str, root: Path, options: Mapping[str, Any], preset: Mapping[str, str] | None = None
) -> Files:
    """Which files of parallel text are there, plain or as ``.gz``."""
    given = {**(preset or {}), **options}
    path = _path(root, given)
    if path is None or not path.is_dir():
        return Path(root), {}
    stems, languages, beside = ([given[k] for k in keys if k in given] for keys in PARALLEL)
    files = [*text_files.names(stems, languages), *beside]
    return path, text_files.present(path, [file for file in files if isinstance(file, str)])


def _multi30k(name: str, root: Path, _options: Any) -> Files:
    path = Path(root, MULTI30K)
    return path, text_files.present(path, MULTI30K_TEXTS)


def _none(name: str, root: Path, _options: Any) -> Files:
    return Path(root), {}


SOURCES: dict[str, Callable[[str, Path, Mapping[str, Any]], Files]] = {
    "digits": _none,  # come with scikit-learn
    "mnist": partial(_listed, "MNIST", MNIST),
    "fashion_mnist": partial(_listed, "FashionMNIST", MNIST),
    "cifar10": partial(_listed, "cifar-10-batches-py", CIFAR10),
    "cifar100": partial(_listed, "cifar-100-python", CIFAR100),
    "tiny_imagenet": _tiny_imagenet,
    "image_folder": _image_tree,
    "image_files": _image_tree,
    "imagenet": _imagenet,
    "parallel_text": _parallel,
    "multi30k": _multi30k,
    "parallel_tokens": _parallel,
    "wmt16_en_de": partial(_parallel, preset={"path": WMT16, **WMT16_FILES}),
}


def write_note(prepared: Path | str, source: Source, changes: int, sha256: str) -> None:
    """Note what a data set has just been prepared from.

    Args:
        prepared: the data set's file.
        source: what it was read from.
        changes: as of :func:`count_changes`.
        sha256: of the source.
    """
    note = {
        "location": str(source.location),
        "files": len(source.files),
        "stamp": source.stamp,
        "sha256": sha256,
        "listing": source.listing,
        "changes": changes,
    }
    write_json(note_file(prepared), note)


def has_changed(prepared: Path | str, source: Source | None) -> bool:
    """Whether a data set was prepared from other files than there are now.

    Without any, what was prepared from them stands.

    Args:
        prepared: the data set's file, which need not be there.
        source: what there is now.
    """
    note = _read_note(prepared)
    made_from = _header_sha256(prepared) if Path(prepared).exists() else note.get("sha256", "")
    if source is None or (made_from == "" and not Path(prepared).exists()):
        return False
    if (note.get("stamp"), note.get("sha256")) == (source.stamp, made_from):
        return False
    if note.get("sha256") == made_from and note.get("listing", source.listing) != source.listing:
        return True  # and gigabytes need not be read to see it
    if source.sha256 != made_from:
        return True
    with contextlib.suppress(OSError, PruningError):  # saves reading them again; no more than that
        write_note(prepared, source, note.get("changes", 0), made_from)
    return False


def count_changes(prepared: Path | str, source: Source | None) -> int:
    """How often a data set's files had changed when it was prepared, if it were prepared now.

    As a parameter of the rule that prepares it, this reruns the rule when they are others, and not
    when they are downloaded or deleted after it ran.
    """
    return _read_note(prepared).get("changes", 0) + has_changed(prepared, source)


def _read_note(prepared: Path | str) -> dict[str, Any]:
    try:
        note = read_json(note_file(prepared))
    except (PruningError, OSError):
        return {}
    return note if isinstance(note, dict) else {}


def header_of(prepared: Path | str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The header of a prepared data set, which is JSON, without numpy: tensors, and what it says.

    Raises:
        OSError, ValueError, KeyError, TypeError: there is no such file, or it is another.
    """
    with open(prepared, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(min(size, HEADER)))
    return header, json.loads(header["__metadata__"]["dataset"])


def _header_sha256(prepared: Path | str) -> str:
    """What a prepared data set says of its source. Empty where it does not say."""
    try:
        return header_of(prepared)[1]["source_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
