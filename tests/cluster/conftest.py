"""A Slurm of one node, and projects whose Snakemake sends its jobs there."""

import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.cluster import slurm as cluster
from tests.conftest import REPOSITORY
from tests.workflow.conftest import SNAKEMAKE, TINY, Project, kill_group, make_project

PROFILES = ["--profile", "workflow/profiles/slurm", "--profile", "tests/cluster/profile.yaml"]
SHORT = TINY + "resources: {runtime: 5, mem_mb: 2000}\n"

# Ends a cluster with the process that has it, however that ends: a killed pytest tidies nothing.
# A Snakemake that has lost its cluster would wait for it forever.
GUARD = """
import contextlib, os, pathlib, shutil, signal, sys
from tests.cluster import slurm
folder = pathlib.Path(sys.argv[1])
sys.stdin.read()
for place in pathlib.Path("/proc").glob("[0-9]*"):
    with contextlib.suppress(OSError):
        if b"\\0HOME=" + os.fsencode(folder / "home") + b"\\0" in (place / "environ").read_bytes():
            os.kill(int(place.name), signal.SIGKILL)
for place in (folder / "home/slurm", folder):
    slurm.stop(place)
shutil.rmtree(folder)
"""


@dataclass
class ClusterProject(Project):
    """A checkout whose Snakemake submits."""

    slurm: Path = None
    started: list = field(default_factory=list)

    def environment(self, trials=False):
        environment = super().environment(trials) | cluster.environment(self.slurm)
        return environment | {"HOME": str(self.slurm / "home")}

    def submit(self, *arguments, check=True):
        """Run Snakemake with its jobs in Slurm; its whole output."""
        return self.snakemake(*arguments, *PROFILES, check=check, cores=None)

    def start_submitting(self, *arguments):
        """Start that; a log is at `self.log`."""
        with self.log.open("w") as log:
            run = subprocess.Popen(
                [*SNAKEMAKE, *arguments, *PROFILES],
                cwd=self.root, env=self.environment(), start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self.started.append(run)
        return run

    @property
    def log(self):
        return self.root / "run.log"

    def command(self, *command):
        """What a command of Slurm prints."""
        return subprocess.run(
            command, env=self.environment(), capture_output=True, text=True, check=True, timeout=60
        ).stdout

    def copy(self, to):
        """A copy; its `snakemake` runs here."""
        return ClusterProject(super().copy(to).root, self.slurm)

    def study(self, old, new):
        self.edit("config/studies/tiny.yaml", old, new)


@pytest.fixture(scope="session")
def slurm():
    """A cluster, its folder. Two pretended GPUs."""
    reason = cluster.missing()
    if reason:
        pytest.skip(f"no Slurm here: {reason}")
    # Not pytest's folder: its name may be too long for a socket.
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    guard = subprocess.Popen(
        [sys.executable, "-c", GUARD, folder], cwd=REPOSITORY, stdin=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    try:
        (folder / "home").mkdir()
        cluster.start(folder, gpus=2, kill_wait=5)
        yield folder
    finally:
        guard.stdin.close()
        guard.wait()
        assert not cluster.processes(folder)
        assert not folder.exists()


@pytest.fixture
def project(slurm, tmp_path):
    """A project with a short tiny study; its jobs are cancelled at the end."""
    root = make_project(tmp_path / "project").root
    shutil.copytree(REPOSITORY / "tests/cluster", root / "tests/cluster")
    (root / "config/studies/tiny.yaml").write_text(SHORT)
    project = ClusterProject(root, slurm)
    yield project
    for run in project.started:
        if run.poll() is None:
            kill_group(run)
    project.command("scancel", "--me")
    wait_until(lambda: not project.command("squeue", "--me", "--noheader"), 60)


def wait_until(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
