"""Running something in a fork of this process: captured, with a time limit, without side effects.

The process that forks has imported everything that is slow to import and never computes, so a
child starts in milliseconds and inherits no threads.
"""

import contextlib
import ctypes
import faulthandler
import json
import os
import resource
import runpy
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import safetensors

MEMORY = 8 << 30  # bytes of address space, so that an absurd size fails here and not the machine


@dataclass(frozen=True)
class Ended:
    """How a child ended.

    Attributes:
        code: its exit code; negative, the signal that killed it.
        hung: it was still running at the time limit.
        seconds: that it took.
        output: what it printed, standard output and standard error together.
        read: files that it opened for reading, relative to its folder, in order.
    """

    code: int
    hung: bool
    seconds: float
    output: str
    read: tuple[str, ...] = ()


def prepare() -> None:
    """Import what children need, and keep the parent from ever computing."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("MPLBACKEND", "agg")
    from pruning.running import warm

    warm._import_everything()

    import pruning.stages.collect
    import pruning.stages.figure
    import pruning.stages.prepare_data  # noqa: F401

    # The campaign's own children are warm already.
    warm.start = lambda: None


def run(
    function: Callable[[], None],
    folder: Path,
    *,
    limit: float,
    kill_after: float | None = None,
    trace: bool = False,
) -> Ended:
    """Call ``function`` in a child.

    Args:
        function: what to do; its exceptions and exits end the child as they end a script.
        folder: the child's working folder.
        limit: seconds of wall time until it counts as hung.
        kill_after: seconds until it is killed by SIGKILL on purpose.
        trace: note which files it opens.
    """
    output, write = os.pipe()  # no limit on the size of files holds for a pipe
    os.set_blocking(output, False)
    with tempfile.TemporaryFile() as opened:
        started = time.monotonic()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os.close(output)
            _become(function, folder, write, opened.fileno() if trace else None)
        os.close(write)
        printed = bytearray()
        status, hung = _wait(pid, started, limit, kill_after, partial(_drain, output, printed))
        seconds = time.monotonic() - started
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)  # whatever it started
        _drain(output, printed)
        os.close(output)
        opened.seek(0)
        read = json.loads(opened.read() or b"[]")
        text = printed.decode(errors="replace")
        return Ended(os.waitstatus_to_exitcode(status), hung, seconds, text, tuple(read))


def _drain(output: int, printed: bytearray) -> None:
    """Take what a child has printed; from a full pipe it would wait for ever."""
    with contextlib.suppress(BlockingIOError):
        while chunk := os.read(output, 1 << 16):
            printed += chunk


def script(path: Path) -> Callable[[], None]:
    """A function that runs a job's script."""

    def call() -> None:
        sys.argv = [str(path)]
        sys.path[0] = str(path.parent)
        runpy.run_path(str(path), run_name="__main__")

    return call


def _wait(
    pid: int,
    started: float,
    limit: float,
    kill_after: float | None,
    meanwhile: Callable[[], None],
) -> tuple[int, bool]:
    pause, dumped = 0.002, False
    while True:
        meanwhile()
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status, False
        spent = time.monotonic() - started
        if kill_after is not None and spent > kill_after:
            os.kill(pid, signal.SIGKILL)
            return os.waitpid(pid, 0)[1], False
        if spent > limit and not dumped:
            os.kill(pid, signal.SIGUSR1)  # has it print where it is
            dumped = True
        elif spent > limit + 1:
            os.kill(pid, signal.SIGKILL)
            return os.waitpid(pid, 0)[1], True
        left = limit - spent if kill_after is None else kill_after - spent
        time.sleep(max(0.001, min(pause, left)))
        pause = min(pause * 1.3, 0.05)


def _become(function: Callable[[], None], folder: Path, output: int, opened: int | None) -> None:
    """The child. Never returns."""
    code, read = 1, []
    try:
        os.setsid()
        _die_with_parent()
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        null = os.open(os.devnull, os.O_RDONLY)
        for target, fd in enumerate((null, output, output)):
            os.dup2(fd, target)
        # Without a buffer that a kill would lose.
        sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        faulthandler.register(signal.SIGUSR1, file=2, all_threads=True)
        os.chdir(folder)
        if opened is not None:
            _note(read)
        function()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        if opened is not None:
            os.write(opened, json.dumps(list(dict.fromkeys(read))).encode())
        os._exit(code & 0xFF)


def _note(read: list[str]) -> None:
    """From now on, add every file that is opened for reading to a list."""

    def add(path: object) -> None:
        if isinstance(path, str | os.PathLike):
            path = os.fspath(path)
            read.append(os.path.relpath(path) if os.path.isabs(path) else os.path.normpath(path))

    def hook(event: str, arguments: tuple) -> None:
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
            add(arguments[0])

    def opened(path: object, *arguments: object, **named: object) -> object:
        add(path)
        return whole(path, *arguments, **named)

    sys.addaudithook(hook)
    # Safetensors opens its files without Python, so without an event.
    whole = safetensors.safe_open
    for module in list(sys.modules.values()):
        if vars(module).get("safe_open") is whole and module is not safetensors:
            module.safe_open = opened


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
