"""The campaign of full and broken disks: a job writes to one, and then again to a sound one.

Where this user may mount, disks are small file systems in memory; anywhere, a limit on the size of
files, and errors that the system's calls are made to return.
"""

import builtins
import contextlib
import errno
import io
import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

from tests.campaigns import cases
from tests.campaigns.outcomes import GOOD, Outcome, Result
from tests.campaigns.reference import Job, Reference, sandbox
from tests.campaigns.replay import judged

NAME = "disk"
PAGE = 4096  # bytes; what such a file system counts in
FREE = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24)  # pages
SIZES = (0, 100, 1000, 4096, 20_000)  # bytes that a file may have
ERRORS = (
    "ENOSPC",
    "EDQUOT",
    "EIO",
    "EROFS",
    "EFBIG",
    "ENAMETOOLONG",
    "EACCES",
    "ENOTDIR",
    "ESTALE",
)
CALLS = ("open", "fsync", "replace", "mkdir")
NTH = (1, 2, 4)


def campaign(reference: Reference) -> list[cases.Case]:
    """A job of each rule on every disk."""
    traced = [job for job in reference.jobs if job.seconds]
    jobs = {job.rule: job for job in reversed(traced)}.values()
    drawn = [
        (f"{label}: {job.rule} {job.number}", partial(attempt, reference, job, disk))
        for job in jobs
        for label, disk in disks()
    ]
    return cases.numbered(NAME, drawn)


# A disk: given a job's sandbox, a function that the job's child calls first.
Disk = Callable[[Path], contextlib.AbstractContextManager[Callable[[], None]]]


def disks() -> Iterator[tuple[str, Disk]]:
    """Every disk there is here, by name."""
    if may_mount():
        for pages in FREE:
            yield f"{pages} pages free", partial(small, pages, False)
            yield f"{pages} pages free, logs elsewhere", partial(small, pages, True)
        yield "read-only", partial(read_only, False)
        yield "read-only, logs elsewhere", partial(read_only, True)
    for size in SIZES:
        yield f"files of {size} bytes at most", partial(limited, size)
    for name in ERRORS:
        for call in CALLS:
            for nth in NTH:
                yield f"{name} from {call} {nth}", partial(failing, getattr(errno, name), call, nth)
    yield "a file in the folder's place", in_the_way
    yield "a file in the log folder's place", log_in_the_way


@cache
def may_mount() -> bool:
    """Whether this user may mount a file system in memory."""
    if shutil.which("mount") is None or os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory() as folder:
        if subprocess.run(_mount(folder), capture_output=True).returncode:
            return False
        subprocess.run(["umount", folder], check=True)
        return True


def _mount(folder: str, options: str = "size=1m") -> list[str]:
    return ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]


def attempt(reference: Reference, job: Job, disk: Disk, scratch: Path) -> Result:
    """Run a job on a disk, then on what is left there once the disk is sound."""
    names = {*job.outputs, *(os.path.dirname(path) for path in job.outputs), job.log}
    with mounted(scratch) as folder, sandbox(reference, folder, job, copy=True) as root:
        with disk(root) as begin:
            first = judged(reference, job, root, reference.run(job, root, begin), names)
        if first.outcome not in (*GOOD, Outcome.VAGUE):
            return first
        shutil.rmtree(root / "logs", ignore_errors=True)
        again = judged(reference, job, root, reference.run(job, root), ())
        if again.outcome is not Outcome.SAME:
            why = f"the next run: {again.outcome} {again.why}; the first: {first.why}"
            return Result(Outcome.LEFT, why, again.output)
        return first


@contextlib.contextmanager
def mounted(folder: Path) -> Iterator[Path]:
    """A file system of its own at a folder, where that is possible."""
    folder.mkdir(parents=True, exist_ok=True)
    if not may_mount():
        yield folder
        return
    subprocess.run(_mount(str(folder), "size=64m"), check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


@contextlib.contextmanager
def small(pages: int, logs_elsewhere: bool, root: Path) -> Iterator[Callable[[], None]]:
    """So many pages are free."""
    with _logs(root, logs_elsewhere):
        used = os.statvfs(root)
        taken = used.f_blocks - used.f_bfree
        _remount(root, f"size={(taken + pages) * used.f_frsize}")
        try:
            yield lambda: None
        finally:
            _remount(root, "size=64m")


@contextlib.contextmanager
def read_only(logs_elsewhere: bool, root: Path) -> Iterator[Callable[[], None]]:
    """Nothing can be written."""
    with _logs(root, logs_elsewhere):
        _remount(root, "ro")
        try:
            yield lambda: None
        finally:
            _remount(root, "rw")


@contextlib.contextmanager
def _logs(root: Path, elsewhere: bool) -> Iterator[None]:
    if not elsewhere:
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        (root / "logs").symlink_to(folder)
        yield
        (root / "logs").unlink()


@contextlib.contextmanager
def limited(size: int, root: Path) -> Iterator[Callable[[], None]]:
    """No file may become larger."""
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@contextlib.contextmanager
def in_the_way(root: Path) -> Iterator[Callable[[], None]]:
    """The study's folder is a file."""
    kept = root / "results.kept"
    (root / "results").rename(kept)
    (root / "results").write_text("")
    yield lambda: None
    (root / "results").unlink()
    kept.rename(root / "results")


@contextlib.contextmanager
def log_in_the_way(root: Path) -> Iterator[Callable[[], None]]:
    """The folder of logs is a file."""
    (root / "logs").write_text("")
    yield lambda: None
    (root / "logs").unlink()


@contextlib.contextmanager
def failing(code: int, call: str, nth: int, root: Path) -> Iterator[Callable[[], None]]:
    """One of the system's calls fails, from the nth time on."""
    yield partial(_break, code, call, nth, str(root))


def _break(code: int, call: str, nth: int, root: str) -> None:
    counted = [0]

    def failing(original: Callable[..., Any], path: Any) -> None:
        place = os.path.abspath(path) if isinstance(path, str | os.PathLike) else root
        if not str(place).startswith(root):
            return
        counted[0] += 1
        if counted[0] >= nth:
            raise OSError(code, os.strerror(code), *([str(path)] if place is not root else []))

    whole = {"open": builtins.open, "fsync": os.fsync, "replace": os.replace, "mkdir": os.mkdir}

    def broken(*arguments: Any, **named: Any) -> Any:
        mode = named.get("mode", arguments[1] if len(arguments) > 1 else "r")
        if call != "open" or (isinstance(mode, str) and set(mode) & set("wax+")):
            failing(whole[call], arguments[0])
        return whole[call](*arguments, **named)

    if call == "open":
        builtins.open = io.open = broken
    else:
        setattr(os, call, broken)
