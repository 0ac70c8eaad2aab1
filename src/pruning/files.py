"""Files that are either whole or absent, and that say so when they are read."""

import contextlib
import errno
import hashlib
import json
import os
import re
import socket
import tempfile
import time
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from pruning import seals
from pruning.errors import PruningError
from pruning.seals import digest

__all__ = [
    "atomic_path",
    "digest",
    "make_folder",
    "plain",
    "read_csv",
    "read_json",
    "reading",
    "sha256",
    "withheld",
    "write_csv",
    "write_json",
    "write_text",
    "writing",
]

LONGEST = 200  # bytes of a file's name to which something can be added
_AGAIN = "Nothing half-written was left; {do} and run the same command again."
_FAULTS = {
    errno.ENOSPC: ("The disk is full", "free some space"),
    errno.EDQUOT: ("The disk quota is used up", "delete what is not needed or ask for more"),
    errno.EROFS: ("The disk is read-only", "make it writable or work in another folder"),
    errno.EIO: ("The disk reports an input/output error", "have it looked at, its log says more,"),
    errno.EFBIG: ("The file would be too large", "raise the limit on file sizes (`ulimit -f`)"),
    errno.ENAMETOOLONG: ("The name is too long", "shorten it, say the name of the study,"),
    errno.ESTALE: ("The network drive has lost the file", "mount it again"),
}
_PERMISSIONS = (
    errno.EACCES,
    errno.EPERM,
    errno.EEXIST,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENOTEMPTY,
)


@contextlib.contextmanager
def writing(path: Path | str) -> Iterator[None]:
    """Say in one paragraph what was wrong with the disk while ``path`` was written.

    Raises:
        PruningError: the disk is full, read-only, broken, ..., or the folder cannot be written.
    """
    try:
        yield
    except Exception as error:
        number = _number(error)
        if number in _FAULTS:
            what, do = _FAULTS[number]
            raise PruningError(
                f"{what}: {path} could not be written. {_AGAIN.format(do=do)}"
            ) from error
        if number in _PERMISSIONS:
            raise PruningError(
                f"{path} cannot be written ({error}). Check the folder's permissions, and that "
                "nothing else has this name."
            ) from error
        raise


def _number(error: Exception) -> int | None:
    """The system's number of an error; safetensors' own type only quotes it."""
    if isinstance(error, OSError):
        return error.errno
    quoted = re.search(r"os error (\d+)", str(error), re.IGNORECASE)
    return int(quoted[1]) if quoted and not isinstance(error, PruningError) else None


_WITHHELD: ContextVar[bool] = ContextVar("withheld", default=False)


@contextlib.contextmanager
def withheld() -> Iterator[None]:
    """Within, nothing that is written through this module is kept: another process writes it."""
    token = _WITHHELD.set(True)
    try:
        yield
    finally:
        _WITHHELD.reset(token)


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside ``path``; rename it there when the block ends well.

    On any failure the temporary file is removed and ``path`` is as it was before. What writers that
    were killed left of this path is removed too.

    Raises:
        PruningError: see :func:`writing`.
    """
    path = Path(path)
    name = _short(path.name)
    if _WITHHELD.get():
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder, name)
        return
    temporary = path.with_name(f".{name}.{_machine()}-{os.getpid()}.part")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            _sweep(path.parent, name)
            yield temporary
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _short(name: str) -> str:
    """A file's name, or another where nothing could be added to it."""
    return name if len(name.encode(errors="replace")) <= LONGEST else digest(name)


def make_folder(path: Path | str) -> Path:
    """Make a folder, and those above it, where they are not there yet. Raises as ``writing``."""
    with writing(path):
        if not _WITHHELD.get():
            Path(path).mkdir(parents=True, exist_ok=True)
    return Path(path)


def _sweep(folder: Path, name: str) -> None:
    """Remove temporary files of a name whose writers are dead: here, or for a day anywhere else."""
    with contextlib.suppress(OSError), os.scandir(folder) as found:
        for entry in found:
            if entry.name.startswith(f".{name}.") and entry.name.endswith(".part"):
                writer = entry.name.removeprefix(f".{name}.").removesuffix(".part")
                machine, _, pid = writer.rpartition("-")
                here = machine == _machine() and pid.isdigit()
                if _is_dead(int(pid)) if here else time.time() - entry.stat().st_mtime > 86_400:
                    os.unlink(entry.path)


def _is_dead(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


@cache
def _machine() -> str:
    """A short name of this machine and of what processes are seen on it, as containers differ."""
    told = [socket.gethostname()]
    with contextlib.suppress(OSError):
        told.append(os.readlink("/proc/self/ns/pid"))
    with contextlib.suppress(OSError):
        told.append(Path("/etc/machine-id").read_text(encoding="utf-8").strip())
    return digest(told)[:8]


def write_text(path: Path | str, text: str) -> None:
    """Write ``text`` to ``path`` atomically, as UTF-8."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: Any) -> None:
    """Write ``value`` as readable JSON, atomically; a mapping with its seal."""
    told = seals.sealed(value, path) if isinstance(value, dict) else value
    write_text(path, json.dumps(told, indent=2) + "\n")


def read_json(path: Path | str) -> Any:
    """Read JSON, without its seal.

    Raises:
        PruningError: the file is missing or is not JSON, or see :mod:`pruning.seals`.
    """
    try:
        value = json.loads(_read(path).decode())
    except (ValueError, RecursionError) as error:
        raise PruningError(f"{path} is not readable JSON ({error}). {seals.AGAIN}") from None
    return seals.opened(value, path)


def write_csv(path: Path | str, text: str, cells: int | None = None) -> None:
    """Write the text of a CSV atomically and, where stages write, its seal beside it.

    Args:
        path: the CSV.
        text: what goes into it.
        cells: how many cells of a study it is of, where it is of several.
    """
    # The seal first: a kill in between leaves an old CSV that is refused, never a new one that is.
    if seals.place(path) is not None:
        data = text.encode()
        told = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        write_json(_seal_of(path), told if cells is None else told | {"cells": cells})
    write_text(path, text)


def read_csv(path: Path | str, cells: int | None = None) -> str:
    """The text of a CSV.

    Args:
        path: the CSV.
        cells: how many cells of a study it has to be of, where stages write; None for any.

    Raises:
        PruningError: the file is missing or is no text, is of another number of cells, or see
            :mod:`pruning.seals`.
    """
    data = _read(path)
    if seals.place(path) is not None:
        beside = _seal_of(path)
        if not beside.exists():
            raise seals.unsealed(path)
        try:
            told = read_json(beside)
        except PruningError as error:
            raise PruningError(
                f"What {path} should hold is not known: {error} Delete {path} too."
            ) from None
        if told.get("sha256") != hashlib.sha256(data).hexdigest():
            raise seals.changed(path)
        if cells not in (None, told.get("cells", cells)):
            raise PruningError(
                f"{path} is of {told['cells']} cells, and the study has {cells}: it was written "
                f"before the study was changed. {seals.AGAIN}"
            )
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise PruningError(f"{path} is no text ({error}). {seals.AGAIN}") from None


def _seal_of(path: Path | str) -> Path:
    return Path(path).with_name(f".{Path(path).name}.json")


def _read(path: Path | str) -> bytes:
    with reading(path):
        return Path(path).read_bytes()


@contextlib.contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Say in one sentence why the system does not give ``path``.

    Raises:
        PruningError: it is missing, a folder, a link to nothing, or cannot be read.
    """
    try:
        yield
    except FileNotFoundError:
        if os.path.islink(path):
            raise PruningError(
                f"{path} is a link to a file that does not exist. Remove the link."
            ) from None
        raise PruningError(f"{path} does not exist.") from None
    except IsADirectoryError:
        raise PruningError(f"{path} is a folder where a file should be. Remove it.") from None
    except OSError as error:
        raise PruningError(f"{path} cannot be read ({error.strerror or error}).") from None


def sha256(path: Path | str) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def plain(value: Any) -> dict[str, Any]:
    """A dataclass as JSON has it: mappings, lists, texts and numbers, defaults included."""
    return json.loads(json.dumps(asdict(value)))
