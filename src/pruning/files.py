"""Files that are either whole or absent."""

import contextlib
import errno
import hashlib
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from pruning.errors import PruningError


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside ``path``; rename it there when the block ends well.

    On any failure the temporary file is removed and ``path`` is as it was before. What writers that
    were killed left of this path is removed too.

    Raises:
        PruningError: the disk is full or the folder cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{_machine()}-{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        # safetensors reports a failed write with an error type of its own that only quotes errno.
        if getattr(error, "errno", None) == errno.ENOSPC or "os error 28" in str(error).lower():
            raise PruningError(
                f"The disk is full: {path} could not be written. Nothing half-written was left; "
                "free some space and run the same command again."
            ) from error
        if isinstance(error, PermissionError | FileExistsError | NotADirectoryError):
            raise PruningError(
                f"{path} cannot be written ({error}). Check the folder's permissions."
            ) from error
        raise


def _sweep(path: Path) -> None:
    """Remove temporary files of a path whose writers are dead: here, or for a day anywhere else."""
    with contextlib.suppress(OSError), os.scandir(path.parent) as found:
        for entry in found:
            if entry.name.startswith(f".{path.name}.") and entry.name.endswith(".part"):
                writer = entry.name.removeprefix(f".{path.name}.").removesuffix(".part")
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
    """Write ``value`` as readable JSON, atomically."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def read_json(path: Path | str) -> Any:
    """Read JSON.

    Raises:
        PruningError: the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PruningError(f"{path} does not exist.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise PruningError(
            f"{path} is not readable JSON ({error}). Delete it and run the command that makes it."
        ) from None


def sha256(path: Path | str) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: Any) -> str:
    """A short hash of a JSON-representable value, independent of key order."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def plain(value: Any) -> dict[str, Any]:
    """A dataclass as JSON has it: mappings, lists, texts and numbers, defaults included."""
    return json.loads(json.dumps(asdict(value)))
