"""Jobs end with the Snakemake that started them, however that ended.

A job that was left behind would train on unseen, and beside the one that the next run starts for
the same output. A job's parent may be a shell, and in a container any process may have number 1, so
Snakemake says who it is through the environment, and jobs look whether that process is still there.
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

OWNER = "PRUNING_OWNER"  # environment: the Snakemake that a script belongs to
GONE = "The Snakemake that started this job is gone, so the job ends. Run the same command again."

log = logging.getLogger("pruning")


def announce() -> None:
    """Be the one that scripts started from here end with."""
    os.environ[OWNER] = told()


def told() -> str:
    """What the environment of those says that are to end with this process."""
    pid = os.getpid()
    return " ".join([str(pid), _born(pid) or "-", *_here()])


def is_gone() -> bool:
    """Whether the owner of this process has ended; False where there is none or nobody can tell.

    Nobody can tell on another machine, or in a container that does not see its host's processes.
    """
    pid, born, *place = (os.environ.get(OWNER) or "- -").split()
    if not pid.isdigit() or place != _here():
        return False
    if born != "-":
        return _born(int(pid)) != born
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


def end() -> None:
    """End this process at once, with one line that says why."""
    if log.handlers:
        log.error(GONE)
    else:
        print(GONE, file=sys.stderr, flush=True)
    os._exit(1)


def end_with_it(poll: float = 0.5, end: Callable[[], None] = end) -> None:
    """From now on, end this process when its owner is gone.

    Args:
        poll: seconds between looks.
        end: how.
    """
    if OWNER in os.environ:
        threading.Thread(target=_watch, args=(poll, end), daemon=True).start()


def _watch(poll: float, end: Callable[[], None]) -> None:
    while not is_gone():
        time.sleep(poll)
    end()


def _born(pid: int) -> str | None:
    """When a process started, in ticks since the machine did; None for one that ended or where
    the system does not tell."""
    try:
        fields = (
            Path(f"/proc/{pid}/stat")
            .read_text(encoding="utf-8", errors="replace")
            .rpartition(")")[2]
            .split()
        )
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]  # ended, and only not yet collected


def _here() -> list[str]:
    """The machine, since it was started, and what processes one sees on it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        return [boot, os.readlink("/proc/self/ns/pid")]
    except OSError:
        return ["-", "-"]
