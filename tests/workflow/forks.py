"""Processes that start with everything imported: forks of one that has.

A short run of Snakemake spends most of its time on imports of other people's packages: one second
in Snakemake, three in the process that its jobs share, two in a job that draws. What starts here is
as if `python` started it - arguments, environment, folder, standard streams, exit code, and the
project's own `pruning`, which it imports itself - but the packages are there already.

What differs from a user's run is only how these processes start. `Project.start` and the study of
`finished_once` start them as users do.
"""

import atexit
import contextlib
import functools
import gc
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
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

FOLDER = "PRUNING_TEST_FORKS"  # environment: where the sockets are of the processes that fork
PARENT = "{parent}"  # an argument: the number of the process that forks
REPOSITORY = Path(__file__).parents[2]
# What each of them imports: much makes forks slow. Never a module of this repository.
IMPORTED = {
    "snakemake": ("snakemake.cli", "snakemake.report.html_reporter", "pandas", "jsonschema"),
    "training": ("torch._dynamo", "safetensors.torch"),
    "tables": (
        "pandas",
        "scipy.stats",
        "seaborn",
        "matplotlib.backends.backend_agg",
        "matplotlib.backends.backend_pdf",
        "sklearn.datasets",
    ),
}


class Process:
    """One that was started: what :class:`subprocess.Popen` is, as far as it is needed.

    Args:
        kind: which of :data:`IMPORTED` it has.
        arguments: what follows ``python`` on a command line.
        cwd: its folder.
        env: its environment.
        streams: file descriptors of its standard streams.
    """

    def __init__(
        self,
        kind: str,
        arguments: Sequence[str],
        cwd: Path | str,
        env: Mapping[str, str],
        streams: Sequence[int] = (0, 1, 2),
    ) -> None:
        request = {"arguments": [*map(str, arguments)], "cwd": str(cwd), "env": dict(env)}
        text = json.dumps(request).encode()
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(f"{env[FOLDER]}/{kind}")
        socket.send_fds(self._connection, [f"{len(text):16d}".encode()], [*streams])
        self._connection.sendall(text)
        self.pid = int(_receive(self._connection, 16))

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code; negative, the signal that killed it."""
        self._connection.settimeout(timeout)
        try:
            code = int(_receive(self._connection, 16))
        except TimeoutError:
            raise subprocess.TimeoutExpired("a fork", timeout or 0) from None
        self._connection.close()
        return code

    def terminate(self) -> None:
        """Ask it to end."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)


def run(
    kind: str, arguments: Sequence[str], cwd: Path | str, env: Mapping[str, str]
) -> subprocess.CompletedProcess:
    """A :class:`Process` until it ends, its output captured: as :func:`subprocess.run`."""
    with (
        open(os.devnull) as null,
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
    ):
        streams = [stream.fileno() for stream in (null, out, err)]
        process = Process(kind, arguments, cwd, {**env, FOLDER: _start()}, streams)
        code = process.wait()
        for stream in (out, err):
            stream.seek(0)
        return subprocess.CompletedProcess(arguments, code, out.read(), err.read())


@functools.cache
def _start() -> str:
    """Start the processes that fork, when first asked; the folder of their sockets."""
    folder = tempfile.TemporaryDirectory(prefix="forks-")
    atexit.register(folder.cleanup)
    # Forks import the package of their project; what they are forked from has none.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    for kind in IMPORTED:
        command = [sys.executable, "-m", "tests.workflow.forks", kind, f"{folder.name}/{kind}"]
        process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE)
        atexit.register(lambda process=process: (process.kill(), process.wait()))
        assert process.stdout is not None
        with process.stdout as told:
            assert told.readline(), "the process that forks did not start"
    return folder.name


def serve(kind: str, address: str) -> None:
    """Fork for whoever connects, until the process that started this one is gone."""
    parent = os.getppid()
    sys.path.remove(os.getcwd())
    children: dict[int, socket.socket] = {}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)
        while os.getppid() == parent:
            waiting = [listener, *children.values()]
            ready, _, _ = select.select(waiting, [], [], 0.01 if children else 1)
            for connection in ready:
                if connection is listener:
                    _import(kind)
                    _fork(listener, children)
                else:
                    _end(connection, children)
            _reap(children)


@functools.cache
def _import(kind: str) -> None:
    for name in IMPORTED[kind]:
        importlib.import_module(name)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    assert "pruning" not in sys.modules
    gc.freeze()


def _fork(listener: socket.socket, children: dict[int, socket.socket]) -> None:
    connection, _ = listener.accept()
    size, streams, _, _ = socket.recv_fds(connection, 16, 3)
    request = json.loads(_receive(connection, int(size)))
    pid = os.fork()
    if pid == 0:
        for inherited in (listener, connection, *children.values()):
            inherited.close()
        _become(request, streams)
    for stream in streams:
        os.close(stream)
    connection.sendall(f"{pid:16d}".encode())
    children[pid] = connection


def _end(connection: socket.socket, children: dict[int, socket.socket]) -> None:
    """Whoever asked for this child is gone, so it goes."""
    for pid, other in children.items():
        if other is connection:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _reap(children: dict[int, socket.socket]) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with children.pop(pid) as connection, contextlib.suppress(OSError):
            connection.sendall(f"{os.waitstatus_to_exitcode(status):16d}".encode())


def _receive(connection: socket.socket, size: int) -> bytes:
    text = b""
    while len(text) < size:
        chunk = connection.recv(size - len(text))
        if not chunk:
            raise EOFError("the other end of the connection is gone")
        text += chunk
    return text


def _become(request: dict, streams: Sequence[int]) -> None:
    """The child: be the process that was asked for. Never returns."""
    code = 1
    try:
        for target, stream in enumerate(streams):
            os.dup2(stream, target)
            os.close(stream)
        os.environ.clear()
        os.environ.update(request["env"])
        os.chdir(request["cwd"])
        tempfile.tempdir = None
        parent = str(os.getppid())
        _run_python(*(parent if word == PARENT else word for word in request["arguments"]))
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            threading._shutdown()
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code & 0xFF)


def _run_python(first: str, *arguments: str) -> None:
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    if first == "-m":
        module, *arguments = arguments
        sys.path[:0] = [os.getcwd(), *paths]
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        return
    sys.path[:0] = [os.path.dirname(os.path.abspath(first)), *paths]
    sys.argv = [first, *arguments]
    if Path(first).name == "snakemake":
        _fork_in_turn()
    runpy.run_path(first, run_name="__main__")


def _fork_in_turn() -> None:
    """Have what Snakemake starts be forks too, but for the scripts that only hand over."""
    from snakemake.benchmark import benchmarked
    from snakemake.script import PythonScript

    from pruning.running import warm

    whole = PythonScript.execute_script

    def execute(self: PythonScript, path: str, edit: bool = False) -> None:
        text = Path(path).read_text(errors="replace")
        if "import compute" in text or "warm=True" in text:
            whole(self, path, edit)
            return
        threads = {"OMP_NUM_THREADS": str(self.threads)}
        process = Process("tables", [path], os.getcwd(), {**os.environ, **threads})
        with benchmarked(process.pid, self.bench_record):
            code = process.wait()
        if code:
            raise subprocess.CalledProcessError(code, path)

    class Popen(Process):
        def __init__(self, command: Sequence[str], **_: object) -> None:
            python, *arguments, parent = command
            assert (python, parent) == (sys.executable, str(os.getpid()))
            super().__init__("training", [*arguments, PARENT], os.getcwd(), os.environ)

    PythonScript.execute_script = execute
    warm.subprocess = type("subprocess", (), {**vars(subprocess), "Popen": Popen})


if __name__ == "__main__":
    serve(*sys.argv[1:])
