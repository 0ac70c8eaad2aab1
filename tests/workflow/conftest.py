"""A copy of the repository with a tiny study, and Snakemake to run it with."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from pruning.study.places import tidy_tables
from tests.campaigns.reference import KEEP_SCRIPTS
from tests.conftest import REPOSITORY
from tests.workflow import forks

TINY = """
title: Tiny
dataset: digits
network: {name: mlp, options: {widths: [16]}}
seeds: [0]
recipe:
  epochs: 3
  batches: {size: 64}
  optimizer: {weight_decay: 5.0e-4, options: {momentum: 0.9}}
  schedule: {learning_rate: 0.1, milestones: [2]}
rewinding:
  methods: [lr_rewind, weight_rewind]
  fraction: 0.5
  levels: 2
  retrain_times: [2]
"""


@dataclass
class Project:
    """A checkout of its own."""

    root: Path

    def snakemake(self, *arguments, check=True, cores=2, trials=False, forked=True):
        """Run Snakemake; its whole output.

        Args:
            arguments: of its command line.
            check: it is to succeed; otherwise, to fail.
            cores: for its jobs; 0 leaves that out.
            trials: try studies out before.
            forked: start processes as forks, in a fraction of the time; see `forks`.
        """
        arguments = [*SNAKEMAKE, *(["--cores", str(cores)] if cores else []), *arguments]
        how = {"cwd": self.root, "env": self.environment(trials)}
        if forked:
            run = forks.run("snakemake", arguments, **how)
        else:
            run = subprocess.run(arguments, **how, capture_output=True, text=True)
        output = run.stdout + run.stderr
        if check:
            assert run.returncode == 0, output
        else:
            assert run.returncode != 0, output
        return output

    def pruning(self, *arguments):
        """What the command `pruning` prints."""
        command = ["-m", "pruning.cli", *arguments]
        run = forks.run("training", command, cwd=self.root, env=self.environment())
        assert run.returncode == 0, run.stderr
        return run.stdout

    def start(self, *arguments):
        """Start Snakemake in a process group of its own."""
        return subprocess.Popen(
            [*SNAKEMAKE, "--cores", "2", *arguments],
            cwd=self.root, env=self.environment(), start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def environment(self, trials=False):
        environment = os.environ | {"PYTHONPATH": str(self.root / "src"), "COLUMNS": "200"}
        environment |= {"PRUNING_TRIALS": "on" if trials else "off"}
        environment.pop("SNAKEMAKE_PROFILE", None)
        return environment

    def plan(self, *arguments, target="plots/tiny/rewind_vs_finetune.pdf"):
        """What a dry run would do: jobs by rule."""
        output = self.snakemake(target, "--dry-run", *arguments)
        if "Nothing to be done" in output:
            return {}
        table = output[output.rindex("Job stats:") :].splitlines()[3:]  # title, header, rule
        jobs = dict(line.split() for line in table[: table.index("")])
        del jobs["total"]
        return {rule: int(count) for rule, count in jobs.items()}

    def edit(self, file, old, new):
        path = self.root / file
        text = path.read_text()
        assert old in text, f"{old!r} is not in {file}"
        path.write_text(text.replace(old, new))

    def files(self, *ignored):
        """Bytes of everything under results and plots that repeats from run to run."""
        tables = {f"{name}.csv" for name in tidy_tables()}  # have seconds
        unlike = {"timing.json", "state.json", "mask.json", "report.json", *tables, *ignored}
        unlike |= {f".{name}.json" for name in unlike}  # their checksums
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for folder in ("results", "plots")
            for path in sorted((self.root / folder).rglob("*"))
            if path.is_file()
            and path.name not in unlike
            and not {".repairs", ".trials"} & {*path.parts}
            and not path.name.endswith(("seconds.csv", "seconds.csv.json"))
        }

    def copy(self, to):
        shutil.copytree(self.root, to, symlinks=True)  # keeps times
        return Project(to)


SNAKEMAKE = [str(Path(sys.executable).with_name("snakemake"))]


def make_project(root):
    root.mkdir()
    for name in ("workflow", "config", "resources", "src"):
        shutil.copytree(
            REPOSITORY / name,
            root / name,
            ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"),
        )
    shutil.copy(REPOSITORY / "Snakefile", root)
    (root / "profiles").symlink_to("workflow/profiles")
    (root / "config" / "studies" / "tiny.yaml").write_text(TINY)
    return Project(root)


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("finished") / "project")
    project.snakemake("plots/tiny/rewind_vs_finetune.pdf", KEEP_SCRIPTS)
    return project


@pytest.fixture
def finished(finished_once, tmp_path):
    """A project whose tiny study is done; a copy for each test."""
    return finished_once.copy(tmp_path / "project")


@pytest.fixture
def project(tmp_path):
    """A project in which nothing has run."""
    return make_project(tmp_path / "project")


def kill_group(process):
    """SIGKILL to Snakemake and everything it started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
