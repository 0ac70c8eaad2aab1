"""Jobs that start in milliseconds: a process that has imported torch forks one child per job.

Importing torch and building a first optimizer costs about five seconds of CPU time, a small
study's training often less than one. A workflow run therefore keeps one *warm* process on its
machine. A job's script still is a process of its own, with its own outputs, log and exit code; it
only hands its script over (:func:`hand_over`) and waits. The child is a fork of the warm process,
runs the same script with the same arguments, environment, folder and standard streams, and trains
the same bytes. Without a warm process - a single job on a cluster, a notebook - scripts just run.

- The warm process never computes, so there are no threads or generator states to inherit.
- It ends with the process that started it, and takes its children along.
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
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

ADDRESS = "PRUNING_WARM"  # environment: the socket of the warm process
INSIDE = "PRUNING_WARM_CHILD"  # environment: set in its children
STARTED = b"!"
LONGEST_ADDRESS = 100  # bytes; systems allow 104 to 108


def start() -> None:
    """Start the warm process and tell jobs of it through the environment.

    Without one, jobs start cold: where the temporary folder's name is too long for a socket.
    """
    folder = tempfile.mkdtemp(prefix="pruning-warm-")
    address = str(Path(folder, "socket"))
    if len(os.fsencode(address)) > LONGEST_ADDRESS:
        os.rmdir(folder)
        return
    command = [sys.executable, "-m", "pruning.running.warm", address, str(os.getpid())]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    # It would notice, but a cluster kills what is left of a job at once, and then its socket stays.
    atexit.register(_end, process)
    os.environ[ADDRESS] = address


def _end(process: subprocess.Popen) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=5)


def hand_over() -> None:
    """Run this script in a warm child and exit with its code, or return if there is none."""
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
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # closing the connection ends the child
    answer = connection.recv(16)
    code = int(answer) if answer else -signal.SIGKILL
    if code < 0:  # die as the child did
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.stdout.flush()
    os._exit(code)


def serve(address: str, parent: int) -> None:
    """Fork a child per request until the process ``parent`` is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the scripts, which reach us
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # tidies up below
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(256)
    jobs: dict[int, socket.socket] = {}
    try:
        _import_everything()
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
        with contextlib.suppress(OSError):
            os.unlink(address)
            os.rmdir(os.path.dirname(address))


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
            _die_with_parent()
            _run(request, fds)
        jobs[pid] = connection
    for fd in fds:
        os.close(fd)


def _die_with_parent() -> None:
    """Have the kernel kill this child when the warm process dies (Linux)."""
    if sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def _hung_up(connection: socket.socket, jobs: dict[int, socket.socket]) -> None:
    """A script that closes its end is gone; so is its child."""
    with contextlib.suppress(OSError):
        if connection.recv(1):
            return
    for pid, owner in jobs.items():
        if owner is connection:
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
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
