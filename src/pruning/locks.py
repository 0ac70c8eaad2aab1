"""File locks. The kernel lets go of them when their holder ends, however it ends."""

import contextlib
import errno
import fcntl
import logging
import os
import socket
import stat
import time
import weakref
from pathlib import Path
from typing import ClassVar

log = logging.getLogger("pruning")


def try_lock(path: Path | str, make: bool = True) -> int | None:
    """The open handle of a lock file that is now locked, or None where somebody has the lock.

    Args:
        path: of the file; its content is left alone.
        make: make it where it is missing, readable and writable by its owner alone.

    Raises:
        OSError: no such file, a link or a folder in its place, a file of another user, or a file
            system without locks.
    """
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_CREAT if make else 0)
    handle = os.open(path, flags | os.O_NONBLOCK, 0o600)  # a named pipe does not hang
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid():
            raise PermissionError(errno.EPERM, "not a file of this user", str(path))
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except BaseException:
        os.close(handle)
        raise
    return handle


class FileLock:
    """Keeps other processes out for as long as an object has it; shared within a process.

    Removing the file gives the lock away too: whoever waits for it then makes a new one.

    Args:
        path: the lock file. It says who has the lock.
    """

    # By path: what this process holds.
    _mine: ClassVar[weakref.WeakValueDictionary[str, "_Held"]] = weakref.WeakValueDictionary()

    def __init__(self, path: Path | str) -> None:
        self.path, self._held = Path(path), None

    def acquire(self, patience: float, poll: float = 0.2) -> bool:
        """Take the lock; False where somebody still has it when patience is at an end.

        Where there can be no lock (a file system without any, a full disk), a line in the log says
        so, and all goes on as if there were nobody else.

        Args:
            patience: seconds to wait.
            poll: seconds between tries.
        """
        key, deadline, told = str(self.path.absolute()), time.monotonic() + patience, False
        while True:
            held = self._mine.get(key)
            if held is not None and held.is_at(self.path):
                self._held = held
                return True
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                handle = try_lock(self.path)
            except FileNotFoundError:
                continue  # the last holder removed the folder between these two lines
            except OSError as error:
                log.warning(
                    "%s cannot be locked (%s); nothing keeps a second process away",
                    self.path,
                    error.strerror,
                )
                return True
            if handle is not None:
                held = _Held(handle)
                if held.is_at(self.path):  # and was not removed by the last holder meanwhile
                    held.sign()
                    self._held = self._mine[key] = held
                    return True
                continue
            if time.monotonic() >= deadline:
                return False
            if not told:
                log.info("waiting for %s, which has %s", self.holder(), self.path)
                told = True
            time.sleep(poll)

    def holder(self) -> str:
        """Who has the lock."""
        try:
            return self.path.read_text(encoding="utf-8").strip() or "another process"
        except (OSError, UnicodeDecodeError):
            return "another process"

    @property
    def held(self) -> bool:
        """Whether there is a lock, and this has it."""
        return self._held is not None

    def release(self, remove: bool = False) -> None:
        """Let go of it.

        Args:
            remove: the file too, where this has the lock.
        """
        if remove and self.held:
            with contextlib.suppress(OSError):
                self.path.unlink()
        self._held = None


class _Held:
    """An open, locked file; closed when nobody refers to it any more."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        weakref.finalize(self, os.close, handle)

    def is_at(self, path: Path) -> bool:
        try:
            return os.path.samestat(os.fstat(self._handle), os.stat(path, follow_symlinks=False))
        except OSError:
            return False

    def sign(self) -> None:
        told = f"process {os.getpid()} on {socket.gethostname()}\n"
        with contextlib.suppress(OSError):  # a full disk: the lock holds all the same
            os.ftruncate(self._handle, 0)
            os.pwrite(self._handle, told.encode(), 0)
