"""A Slurm of one node, on loopback, all of it in one folder: for tests, and to learn Slurm with.

    eval "$(python tests/cluster/slurm.py start FOLDER)"  # sbatch & Co. of this shell go there
    python tests/cluster/slurm.py stop FOLDER

It takes Debian's packages ``slurm-wlm`` and ``munge``. There is no accounting database, so
``sacct`` knows nothing. Memory is enforced by sampling (``OverMemoryKill``): that needs no control
groups.
"""

import argparse
import contextlib
import getpass
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd")
COMMANDS = ("sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo", "sacct")
NODE = "learner"
SOCKET = "munge.socket"
LONGEST_SOCKET = 100  # bytes; Linux allows 107

CONFIGURATION = """
ClusterName=learners
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
# A job that is requeued waits until its credential expires, by default two minutes.
AuthInfo=socket={folder}/{socket},cred_expire=5
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_interval=1
SchedulerTimeSlice=5
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
KillWait={kill_wait}
MinJobAge=3600
MpiDefault=none
ReturnToService=2
# Only jobs that ask for it are requeued.
JobRequeue=0
SlurmctldTimeout=30
SlurmdTimeout=60
GresTypes=gpu
NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} {gres}
PartitionName=main Nodes={node} Default=YES MaxTime=INFINITE State=UP
PartitionName=short Nodes={node} MaxTime=60 State=UP
"""


class SlurmError(Exception):
    """The cluster could not be started."""


def missing() -> str:
    """Why this machine cannot have such a cluster; empty if it can."""
    away = [name for name in (*PROGRAMS, *COMMANDS) if not _find(name)]
    if not sys.platform.startswith("linux"):
        return "Slurm runs on Linux only"
    if away:
        return f"no {', '.join(away)}: apt-get install slurm-wlm munge"
    if os.geteuid() != 0:
        return "slurmd runs jobs as root only"
    return ""


def start(folder: Path, *, gpus: int = 0, kill_wait: int = 10) -> None:
    """Start ``munged``, ``slurmctld`` and ``slurmd``.

    Args:
        folder: new or empty; everything the three write goes there.
        gpus: how many the node pretends to have.
        kill_wait: seconds from SIGTERM to SIGKILL for jobs out of time.

    Raises:
        SlurmError: one of them does not come up; nothing of them is left running.
    """
    folder = folder.resolve()
    if len(os.fsencode(folder / SOCKET)) > LONGEST_SOCKET:
        raise SlurmError(f"{folder} is too long a name for a socket in it; take a shorter one.")
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)  # munged refuses to work in a folder that others may write to
    configuration = folder / "slurm.conf"
    try:
        _start_munged(folder)
        _start_slurm(folder, configuration, gpus, kill_wait)
    except BaseException:
        stop(folder)
        raise


def stop(folder: Path) -> None:
    """End the three, and all jobs; what they wrote stays."""
    folder = folder.resolve()
    configuration = folder / "slurm.conf"
    if configuration.exists() and _running(folder, "slurmctld"):
        with contextlib.suppress(subprocess.TimeoutExpired):
            _slurm(configuration, "scancel", "--user", getpass.getuser(), timeout=20)
            _wait(lambda: not _jobs(configuration), 30)
    for program in reversed(PROGRAMS):
        pid = _running(folder, program)
        if not pid:
            continue
        os.kill(pid, signal.SIGTERM)
        if not _wait(lambda p=program: not _running(folder, p), 20):
            os.kill(pid, signal.SIGKILL)
    for pid in processes(folder):  # of jobs that would not go
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def environment(folder: Path) -> dict[str, str]:
    """What to set so that Slurm's commands speak to this cluster."""
    return {"PATH": f"{folder.resolve()}/bin:{os.environ['PATH']}"}


def _start_munged(folder: Path) -> None:
    key = folder / "munge.key"
    key.touch(0o600)
    key.write_bytes(os.urandom(128))
    command = [
        _find("munged"), "--force",
        f"--socket={folder / SOCKET}", f"--key-file={key}", f"--pid-file={folder}/munged.pid",
        f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed",
    ]  # fmt: skip
    _run(command, folder / "munged.log")
    if not _wait((folder / SOCKET).exists, 10):
        raise SlurmError(f"munged did not start; see {folder}/munged.log.")


def _start_slurm(folder: Path, configuration: Path, gpus: int, kill_wait: int) -> None:
    host = socket.gethostname().split(".")[0]
    ports = _free_ports(2)
    configuration.write_text(
        CONFIGURATION.format(
            folder=folder, socket=SOCKET, host=host, node=NODE, user=getpass.getuser(),
            controller_port=ports[0], node_port=ports[1], cpus=os.cpu_count(),
            memory=_memory(), gres=f"Gres=gpu:{gpus}" if gpus else "",
            kill_wait=kill_wait,
        ).lstrip()
    )  # fmt: skip
    cards = [folder / f"gpu{number}" for number in range(gpus)]
    for card in cards:  # like /dev/null, which nobody opens: Slurm wants devices
        card.unlink(missing_ok=True)
        os.mknod(card, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    _write_commands(folder / "bin", configuration)
    (folder / "gres.conf").write_text("".join(f"Name=gpu File={card}\n" for card in cards))
    _run([_find("slurmctld"), "-c", "-f", configuration], folder / "slurmctld.log")
    _run([_find("slurmd"), "-N", NODE, "-f", configuration], folder / "slurmd.log")
    if not _wait(lambda: "idle" in _slurm(configuration, "sinfo", "-h", "-o", "%T"), 60):
        raise SlurmError(f"The node did not come up; see slurmctld.log and slurmd.log in {folder}.")


def _write_commands(folder: Path, configuration: Path) -> None:
    """Slurm's commands, told where the configuration is.

    SLURM_CONF in the environment would not do: the executor takes what begins with SLURM_ out of it
    before it calls srun on the node.
    """
    folder.mkdir(exist_ok=True)
    for name in COMMANDS:
        script = folder / name
        script.write_text(f'#!/bin/sh\nSLURM_CONF={configuration} exec {_find(name)} "$@"\n')
        script.chmod(0o755)


def _run(command: list, log: Path) -> None:
    run = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=60,
    )  # fmt: skip
    if run.returncode != 0:
        raise SlurmError(f"{command[0]} did not start: {run.stdout.strip()} (see {log})")


def _slurm(configuration: Path, *command: str, timeout: float = 30) -> str:
    told = os.environ | {"SLURM_CONF": str(configuration)}
    run = subprocess.run(command, env=told, capture_output=True, text=True, timeout=timeout)
    return run.stdout


def _jobs(configuration: Path) -> str:
    return _slurm(configuration, "squeue", "--noheader").strip()


def _find(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20


def _running(folder: Path, program: str) -> int:
    """The process ID of one of the three, if it is ours and alive; else 0."""
    try:
        pid = int((folder / f"{program}.pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, ValueError):
        return 0
    return pid if os.fsencode(folder) in command and state != "Z" else 0


def processes(folder: Path) -> list[int]:
    """All processes of this cluster: the three, their helpers, and jobs."""
    mark = os.fsencode(folder.resolve()) + b"/"
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            environ = (place / "environ").read_bytes()
            of_job = b"SLURM_CONF=" + mark + b"slurm.conf" in environ
            of_three = _name(place) in (*PROGRAMS, "slurmstepd") and (
                mark in (place / "cmdline").read_bytes() or of_job
            )
            if of_three or (of_job and b"SLURM_JOB_ID=" in environ):
                found.append(int(place.name))
    return found


def _name(place: Path) -> str:
    return (place / "comm").read_text().strip()


def _wait(condition: Callable[[], object], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("action", choices=("start", "stop"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gpus", type=int, default=0, help="how many the node pretends to have")
    arguments = parser.parse_args()
    if reason := missing():
        sys.exit(f"No Slurm here: {reason}.")
    try:
        if arguments.action == "stop":
            stop(arguments.folder)
        else:
            start(arguments.folder, gpus=arguments.gpus)
            print(f'export PATH="{arguments.folder.resolve()}/bin:$PATH"')
    except SlurmError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
