"""Text in two languages: which files it is in, and reading them line by line. No numpy here."""

import contextlib
import gzip
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO

from pruning.errors import PruningError

MARK = "\ufeff"  # that some editors begin a file with


def names(stems: Iterable[str], languages: Iterable[str]) -> list[str]:
    """``<stem>.<language>`` of each."""
    languages = list(languages)
    return [f"{stem}.{language}" for stem in stems for language in languages]


def present(folder: Path, wanted: Iterable[str]) -> dict[str, str]:
    """Which of these files are in a folder, plain or as ``.gz``; each by its name."""
    found = {}
    for name in wanted:
        for file in (name, f"{name}.gz"):
            if (folder / file).is_file():
                found[file] = str(folder / file)
    return found


def find(name: str, folder: Path, wanted: str) -> Path:
    """A file in a folder, plain or as ``.gz``.

    Args:
        name: of the data set, for messages.
        folder: where it is.
        wanted: its name without ``.gz``.

    Raises:
        PruningError: it is not there; or both are, and only one can be meant.
    """
    found = list(present(folder, [wanted]).values())
    if len(found) > 1:
        raise PruningError(
            f"Data set {name!r}: {folder} has {wanted} and {wanted}.gz, and they may differ. "
            "Remove one of them."
        )
    if not found:
        raise PruningError(
            f"Data set {name!r}: there is no file {folder / wanted}, nor one that ends in .gz. Put "
            "it there, set PRUNING_DATA to the folder that the text is in, or mend the options in "
            "config/config.yaml."
        )
    return Path(found[0])


def lines(name: str, path: Path) -> Iterator[str]:
    """The lines of a text, without their ends.

    Only line feeds end a line, as in tools for parallel text: what other programs take for one may
    stand within a sentence, and the two sides would no longer go together.

    Args:
        name: of the data set, for messages.
        path: the file; one that ends in ``.gz`` is unpacked.

    Raises:
        PruningError: it cannot be read or unpacked; a line is no UTF-8, or has an end or a
            beginning of another system's. The message names file and line.
    """
    with opened(name, path) as file:
        for number, line in enumerate(file, start=1):
            try:
                text = line.removesuffix(b"\n").decode()
            except UnicodeDecodeError as error:
                raise PruningError(
                    f"Data set {name!r}: line {number} of {path} is no UTF-8 ({error.reason}). "
                    "Convert the file, or get it again."
                ) from None
            if text.endswith("\r") or (number == 1 and text.startswith(MARK)):
                what = "ends in a carriage return" if text.endswith("\r") else "has a BOM"
                raise PruningError(
                    f"Data set {name!r}: line {number} of {path} {what}, which would count as "
                    "text. Convert the file to plain UTF-8 (`dos2unix`)."
                )
            yield text


@contextlib.contextmanager
def opened(name: str, path: Path) -> Iterator[BinaryIO]:
    """The bytes of a text, of one that ends in ``.gz`` those of what is packed.

    Raises:
        PruningError: it cannot be read or unpacked, now or later within.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as file:
            yield file
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise PruningError(
            f"Data set {name!r}: {path} is damaged ({error}). Delete it and get it again."
        ) from None
    except OSError as error:
        raise PruningError(
            f"Data set {name!r}: {path} cannot be read ({error.strerror})."
        ) from None


def together(name: str, *paths: Path) -> Iterator[tuple[str, ...]]:
    """Lines of several files that go together.

    Raises:
        PruningError: they have different numbers of lines, or see :func:`lines`.
    """
    counts = [0] * len(paths)
    for row in zip_longest(*(lines(name, path) for path in paths)):
        for index, line in enumerate(row):
            counts[index] += line is not None
        if None not in row:
            yield row
    if len(set(counts)) > 1:
        raise unequal(name, paths, counts)


def unequal(name: str, paths: Sequence[Path], counts: Sequence[int]) -> PruningError:
    """The error for files that go together and have different numbers of lines."""
    told = ", ".join(f"{path} has {n:,}" for path, n in zip(paths, counts, strict=True))
    return PruningError(
        f"Data set {name!r}: line by line these files go together, but their numbers of lines "
        f"differ: {told}. Get them again."
    )
