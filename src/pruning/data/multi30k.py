"""Multi30k, task 1 (Elliott et al. 2016): descriptions of pictures in German and English."""

import contextlib
import gzip
import hashlib
import math
import os
import urllib.request
import zlib
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path

from pruning.data import text_files
from pruning.data.parallel_text import parallel_text
from pruning.data.text_sets import MULTI30K, MULTI30K_TEXTS
from pruning.data.text_store import TextData
from pruning.errors import PruningError
from pruning.files import atomic_path
from pruning.locks import FileLock
from pruning.option_types import Count

ADDRESS = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw"
TRAIN, VALIDATION, TEST = "train", "val", "test_2016_flickr"
SECONDS = 60
LANGUAGES = ("de", "en")


def multi30k(
    name: str,
    root: Path,
    source: str = "de",
    target: str = "en",
    vocabulary: Count = 4000,
    most_tokens: Count = 48,
) -> TextData:
    """29,000 pairs to train on, 1,014 to validate and 1,000 to test with (``test_2016_flickr``).

    Files in ``multi30k/`` of the data folder are used, plain or as ``.gz``; what is missing is
    downloaded to it.

    Args:
        name: the data set's key in the configuration.
        root: the data folder.
        source, target: ``de`` and ``en``, or the other way round.
        vocabulary, most_tokens: as of :func:`pruning.data.parallel_text.parallel_text`.

    Raises:
        PruningError: other languages; a file that is damaged or of another text; none, and no
            download; see also ``parallel_text``.
    """
    if {source, target} != set(LANGUAGES):
        raise PruningError(
            f"Data set {name!r}: multi30k is read from 'de' to 'en', or from 'en' to 'de'; not "
            f"from {source!r} to {target!r}. Read other languages of it as `parallel_text`."
        )
    folder = Path(root, MULTI30K)
    for file, expected in MULTI30K_TEXTS.items():
        if not text_files.present(folder, [file]):
            _download(name, folder, file, expected)
        _check(name, text_files.find(name, folder, file), expected)
    data = parallel_text(
        name, root, MULTI30K, source, target, TRAIN, VALIDATION, TEST, vocabulary, most_tokens
    )
    return replace(data, source=f"Multi30k task 1, {source} -> {target}, test 2016 (Flickr)")


def _check(name: str, path: Path, expected: str) -> None:
    if _sha256(name, path) != expected:
        raise PruningError(
            f"Data set {name!r}: {path} is not the text of Multi30k's task 1: it is damaged, or of "
            "another version. Delete it; the next run downloads it."
        )


def _sha256(name: str, path: Path) -> str:
    """Of the text in a file, which is unpacked if need be."""
    found = hashlib.sha256()
    with text_files.opened(name, path) as file:
        while part := file.read(2**20):
            found.update(part)
    return found.hexdigest()


def _download(name: str, folder: Path, file: str, expected: str) -> None:
    """Download one text as ``.gz``, or wait for another process that does."""
    path = folder / f"{file}.gz"
    if folder.exists() and not os.access(folder, os.W_OK):
        raise PruningError(
            f"Data set {name!r}: {folder / file} is missing, and that folder is read-only, so it "
            "cannot be downloaded there. Set PRUNING_DATA to another one."
        )
    lock = FileLock(folder / f".{file}.lock")
    lock.acquire(patience=math.inf)
    try:
        if not text_files.present(folder, [file]):  # else another one downloaded it meanwhile
            packed = _fetched(name, folder, f"{ADDRESS}/{path.name}", expected)
            with atomic_path(path) as temporary:
                temporary.write_bytes(packed)
    finally:
        lock.release(remove=True)


def _fetched(name: str, folder: Path, address: str, expected: str) -> bytes:
    """What is at an address, if it is the text that was expected, packed."""
    try:
        with urllib.request.urlopen(address, timeout=SECONDS) as answer:
            packed = answer.read()
    except (OSError, ValueError, HTTPException) as error:
        raise PruningError(
            f"Data set {name!r}: a text is not in {folder}, and {address} cannot be downloaded "
            f"({type(error).__name__}: {error}). Put the files of Multi30k's task 1 "
            f"(data/task1/raw) into {folder}, or set PRUNING_DATA to the folder that has "
            f"{MULTI30K}/."
        ) from None
    with contextlib.suppress(OSError, EOFError, zlib.error):
        if hashlib.sha256(gzip.decompress(packed)).hexdigest() == expected:
            return packed
    raise PruningError(
        f"Data set {name!r}: what {address} gives is not the text that was expected: the download "
        f"is damaged, or the text was changed. Run this again, or put the original into {folder}."
    )
