"""Jobs that start in milliseconds: a process that has imported torch forks one child per job.

Importing torch and building a first optimizer costs about five seconds of CPU time, a small
study's training often less than one. A workflow run therefore keeps one *warm* process on its
machine. A job's script still is a process of its own, with its own outputs, log and exit code; it
only hands its script over (:func:`hand_over`) and waits. The child is a fork of the warm process,
runs the same script with the same arguments, environment, folder and standard streams, and trains
the same bytes. Without a warm process - a single job on a cluster, a notebook - scripts just run.

- The warm process never computes, so there are no threads or generator states to inherit.
- It ends with the process that started it, and takes its children along.
- It serves nobody but its user.
- A script that is killed takes its child along; a child that is killed fails its script.
"""

import atexit
import contextlib
import ctypes
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

from pruning.locks import FileLock, try_lock
from pruning.running import owner

ADDRESS = "PRUNING_WARM"  # environment: the socket of the warm process
INSIDE = "PRUNING_WARM_CHILD"  # environment: set in its children
STARTED = b"!"
PREFIX = "pruning-warm-"  # of the folder that the socket is in
LOCK = "lock"  # in that folder
INTERRUPTED, TERMINATED = 130, 143  # exit codes
LONGEST_ADDRESS = 100  # bytes; systems allow 104 to 108


def start() -> None:
    """Start the warm process and tell jobs of it through the environment.

    Without one, jobs start cold: where the temporary folder's name is too long for a socket.
    """
    sweep()
    folder = tempfile.mkdtemp(prefix=PREFIX)
    address = str(Path(folder, "socket"))
    if len(os.fsencode(address)) > LONGEST_ADDRESS:
        os.rmdir(folder)
        return
    lock = FileLock(Path(folder, LOCK))  # for as long as this process lives
    lock.acquire(patience=0)
    command = [sys.executable, "-m", "pruning.running.warm", address, str(os.getpid())]
    # Ctrl-C is not for it, from its first moment on: it waits until `serve` says what to do.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    # It would notice, but a cluster kills what is left of a job at once, and then its socket stays.
    atexit.register(_end, process, folder, lock)
    os.environ[ADDRESS] = address


def _end(process: subprocess.Popen, folder: str, lock: FileLock) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=5)
    shutil.rmtree(folder, ignore_errors=True)
    lock.release()


def sweep() -> None:
    """Remove the folders of runs that were killed: those of this user that nobody has locked."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
                continue
            try:
                handle = try_lock(folder / LOCK, make=False)
            except FileNotFoundError:  # being made, or of before there were locks
                if time.time() - found.st_mtime > 3600 and not _answers(folder / "socket"):
                    shutil.rmtree(folder, ignore_errors=True)
                continue
            if handle is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(handle)


def _answers(address: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(address))
        except OSError:
            return False
    return True


def hand_over() -> None:
    """Run this script in a warm child and exit with its code, or return if there is none.

    Ctrl-C ends it without a word: the child, which is interrupted too, says what there is to say.
    """
    try:
        _hand_over()
    except KeyboardInterrupt:
        os._exit(INTERRUPTED)
    if owner.is_gone():  # which is why there is no warm process
        owner.end()


def _hand_over() -> None:
    address = os.environ.get(ADDRESS)
    if not address or os.environ.get(INSIDE):
        return
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(address)
        request = json.dumps({"argv": sys.argv, "cwd": os.getcwd(), "env": dict(os.environ)})
        socket.send_fds(connection, [f"{len(request.encode()):16d}".encode()], [0, 1, 2])
        connection.sendall(request.encode())
        if connection.recv(1) != STARTED:
            return
    except OSError:
        return  # no warm process any more; nothing has been started, so run here
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(TERMINATED)
    )  # closing the connection ends the child
    try:
        answer = connection.recv(16)
    except KeyboardInterrupt:
        connection.settimeout(5)  # for its last words
        with contextlib.suppress(OSError):
            connection.recv(16)
        raise
    code = int(answer) if answer else -signal.SIGKILL
    if code < 0:  # die as the child did
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.stdout.flush()
    os._exit(code)


def serve(address: str, parent: int) -> None:
    """Fork a child per request until the process ``parent`` is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the scripts, which reach us
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGTERM, lambda *_: _leave(address))  # an import may swallow exceptions
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(256)
    jobs: dict[int, socket.socket] = {}
    try:
        die_with_parent(signal.SIGTERM)  # also while it imports
        _import_everything()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))  # tidies up below
        while os.getppid() == parent:
            ready, _, _ = select.select([listener, *jobs.values()], [], [], 0.02 if jobs else 0.2)
            for connection in ready:
                if connection is listener:
                    _accept(listener, jobs)
                else:
                    _hung_up(connection, jobs)
            _reap(jobs)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for pid in jobs:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _remove(address)


def _remove(address: str) -> None:
    shutil.rmtree(os.path.dirname(address), ignore_errors=True)


def _leave(address: str) -> None:
    _remove(address)
    os._exit(TERMINATED)


def _import_everything() -> None:
    import torch
    import torch._dynamo  # torch.optim imports it at the first step otherwise

    import pruning.stages.dense
    import pruning.stages.prune  # noqa: F401
    from pruning.systems import systems

    for system in systems():
        for module in system.preload:
            importlib.import_module(module)

    torch.set_num_threads(1)


def _accept(listener: socket.socket, jobs: dict[int, socket.socket]) -> None:
    connection, _ = listener.accept()
    if _caller(connection) not in (os.getuid(), None):
        connection.close()  # it would run any script as us
        return
    connection.settimeout(10)  # a script that asks sends its request at once
    fds: list[int] = []
    try:
        size, fds, _, _ = socket.recv_fds(connection, 16, 3)
        text = b""
        while len(text) < int(size):
            chunk = connection.recv(1 << 16)
            if not chunk:
                raise EOFError
            text += chunk
        request = json.loads(text)
        connection.sendall(STARTED)
    except (OSError, ValueError, EOFError):  # the script died while asking
        connection.close()
    else:
        pid = os.fork()
        if pid == 0:
            for inherited in (listener, connection, *jobs.values()):
                inherited.close()  # else a script would never see that we are gone
            die_with_parent(signal.SIGKILL)
            _run(request, fds)
        jobs[pid] = connection
    for fd in fds:
        os.close(fd)


def _caller(connection: socket.socket) -> int | None:
    """The user at the other end; None where the system does not tell (Linux does)."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return struct.unpack("3i", told)[1]


def die_with_parent(number: int) -> None:
    """Have the kernel send this process a signal when the one that started it dies (Linux)."""
    if sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG
        ctypes.CDLL(None).prctl(set_parent_death_signal, number)


def _hung_up(connection: socket.socket, jobs: dict[int, socket.socket]) -> None:
    """A script that closes its end is gone; so is its child."""
    with contextlib.suppress(OSError):
        if connection.recv(1):
            return
    for pid, script in jobs.items():
        if script is connection:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _reap(jobs: dict[int, socket.socket]) -> None:
    while jobs:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with contextlib.suppress(OSError), jobs.pop(pid) as connection:
            connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())


def _run(request: dict, fds: list[int]) -> None:
    """The child: become the job. Never returns."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for target, fd in enumerate(fds):
            os.dup2(fd, target)
        os.environ.clear()
        os.environ.update(request["env"], **{INSIDE: "1"})
        os.chdir(request["cwd"])
        sys.argv = request["argv"]
        sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]))
        runpy.run_path(sys.argv[0], run_name="__main__")
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
