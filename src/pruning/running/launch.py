"""A stage by several processes: started, watched and ended as one job.

The job holds their devices and starts ``torchrun``, which starts a worker per process
(:mod:`pruning.running.worker`) and ends all where one ends badly. They never outlive the job: it
takes them along when it is told to end, and they look whether it is still there.
"""

import contextlib
import json
import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pruning
from pruning.errors import PruningError
from pruning.running import owner

TERMINATED = 143  # exit code
GRACE = 20  # seconds from asking torchrun to end until it is killed
AGAIN = "All of them have ended, and the last saved epoch is kept: run the same command again."

log = logging.getLogger("pruning")


def launch(
    place: str,
    devices: Sequence[str],
    *,
    context: Mapping[str, Any],
    arguments: Mapping[str, Any],
    log_file: str | None,
) -> None:
    """Run a stage by as many processes as there are devices.

    Args:
        place: ``module:attribute`` of the stage function.
        devices: of each process.
        context: of the stage, but for its device.
        arguments: of the stage function, after its context; plain values.
        log_file: what the first process logs to.

    Raises:
        PruningError: a process ended badly: what it said, or how it ended.
    """
    with tempfile.TemporaryDirectory(prefix="pruning-processes-") as folder:
        told = {
            "place": place,
            "devices": list(devices),
            "context": dict(context),
            "arguments": dict(arguments),
            "log": log_file and str(log_file),
            "failures": folder,
        }
        stage = Path(folder, "stage.json")
        stage.write_text(json.dumps(told), encoding="utf-8")
        said = Path(folder, "torchrun")
        code = _run(_command(stage, len(devices)), said)
        if code:
            raise PruningError(_why(Path(folder), said, len(devices), code))


def _command(stage: Path, count: int) -> list[str]:
    return [
        sys.executable, "-m", "torch.distributed.run", "--standalone",
        f"--nproc-per-node={count}", "--max-restarts=0",
        "-m", "pruning.running.worker", str(stage),
    ]  # fmt: skip


def _run(command: Sequence[str], said: Path) -> int:
    """The exit code of torchrun, which never outlives this call.

    Its own messages are for us. Workers write to what it has as standard output, our standard
    error.
    """
    root = str(Path(pruning.__file__).parents[1])
    paths = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    # Workers end with this process, which ends with Snakemake.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), owner.OWNER: owner.told()}
    with said.open("wb") as file, _termination():
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=_errors(), stderr=file,
            start_new_session=True,  # Ctrl-C reaches it through us
        )  # fmt: skip
        try:
            return process.wait()
        finally:
            _end(process)


def _errors() -> int:
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return 2


@contextlib.contextmanager
def _termination() -> Iterator[None]:
    """SIGTERM, which Slurm and Snakemake send, ends this process by way of its `finally`."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(process: subprocess.Popen) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()  # and the kernel its workers
        process.wait()


def _why(folder: Path, said: Path, count: int, code: int) -> str:
    """One paragraph on why processes ended: of the one that failed, not of those it took along."""
    failures = [json.loads(p.read_text(encoding="utf-8")) for p in sorted(folder.glob("rank*"))]
    own = [failure for failure in failures if not failure["lost"]]
    for failure in own:
        if failure["traceback"]:
            log.error("%s:\n%s", _process(failure["rank"], count), failure["traceback"].rstrip())
    if own:
        first = own[0]
        alike = len({failure["message"] for failure in own}) == 1 and len(own) > 1
        if first["rank"] == 0 or alike:
            return first["message"]
        return f"{_process(first['rank'], count)}: {first['message']}"
    text = said.read_text(encoding="utf-8", errors="replace")
    killed = re.findall(r"rank\s*:\s*(\d+).*?\n\s*exitcode\s*:\s*-(\d+)", text)
    if killed:
        # torchrun ends the others by SIGTERM, and may call one of those the first to fail.
        rank, number = max(((int(r), int(n)) for r, n in killed), key=lambda k: k[1] != 15)
        name = signal.Signals(number).name if number in signal.valid_signals() else str(number)
        memory = " Was there memory enough (`mem_mb` is of all of them)?" if number == 9 else ""
        return f"{_process(rank, count)} was killed ({name}).{memory} {AGAIN}"
    if failures:
        return f"{_process(failures[0]['rank'], count)}: {failures[0]['message']} {AGAIN}"
    last = "\n".join(text.strip().splitlines()[-20:])
    log.error("torchrun said last:\n%s", last)
    return f"The {count} processes of this training ended with exit code {code}. {AGAIN}"


def _process(rank: int | str, count: int) -> str:
    return f"Process {rank} of {count} (counted from 0)"
