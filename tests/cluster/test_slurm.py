"""The cluster profile, submitted to a Slurm."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys

from tests.cluster import slurm as cluster
from tests.cluster.conftest import PROFILES, wait_until
from tests.conftest import REPOSITORY
from tests.test_packaging import blocks
from tests.workflow.conftest import SNAKEMAKE

FIGURE = "plots/tiny/rewind_vs_finetune.pdf"
DENSE = "results/tiny/seed0/dense/state.safetensors"
LONG = ("epochs: 3", "epochs: 2000")
SUBMITTED = re.compile(r"has been submitted with SLURM jobid (\d+)")


def submissions(output):
    return SUBMITTED.findall(output)


def resume_file(project, study="tiny"):
    return project.root / f"results/{study}/seed0/dense.resume/index.json"


def wait_for_training(project, run):
    """Until a training has written what it could resume from; the number of its job."""

    def begun():
        assert run.poll() is None, project.log.read_text()
        return resume_file(project).exists()

    wait_until(begun, 300)
    return submissions(project.log.read_text())[-1]


def test_the_default_figure_is_the_same_as_of_a_local_run(project, tmp_path):
    local = project.copy(tmp_path / "local")
    local.snakemake("plots/rewind_vs_finetune.pdf")
    output = project.submit("plots/rewind_vs_finetune.pdf")
    assert "225 of 225 steps (100%) done" in output
    assert project.files() == local.files()
    jobs = submissions(output)
    assert len(jobs) == 5  # data; three replicates' dense parts; nine chains, four at a time
    chains = [project.command("scontrol", "show", "job", job) for job in jobs[2:]]
    assert all("NumCPUs=1 " in chain for chain in chains)
    assert all("MinMemoryNode=3000M" in chain for chain in chains)  # of one job at a time
    limits = [re.search(r"TimeLimit=(\S+)", chain)[1] for chain in chains]
    # Two minutes for each of the 24 prunings, reports and trainings of a chain.
    assert sorted(limits) == ["00:48:00", "03:12:00", "03:12:00"]


def test_a_long_study_takes_a_submission_for_a_training_with_its_mask(project):
    project.study("runtime: 5", "runtime: 90")
    project.study("levels: 2", "levels: 1")
    project.study("  epochs: 3", "  epochs: 3\n  threads: 2")
    project.snakemake("results/tiny/seed0/rewind_states/t2.safetensors")
    output = project.submit(FIGURE.replace(".pdf", ".csv"))
    jobs = submissions(output)
    assert len(jobs) == 2  # of two methods
    for job in jobs:
        level = project.command("scontrol", "show", "job", job)
        assert "TimeLimit=02:10:00" in level  # 90 minutes, 20 for the mask and 20 for the report
        assert "NumCPUs=2 " in level


def test_a_training_that_is_requeued_and_cancelled_goes_on_and_ends_in_the_same_bytes(
    project, tmp_path
):
    project.study(*LONG)
    whole = project.copy(tmp_path / "whole")
    log = project.root / "logs/tiny/seed0/dense.log"
    run = project.start_submitting(DENSE, "--retries", "0")
    job = wait_for_training(project, run)

    project.command("scontrol", "requeue", job)  # as Slurm does when it preempts
    wait_until(lambda: log.exists() and "resumed after" in log.read_text())
    assert submissions(project.log.read_text())[-1] == job  # Snakemake had nothing to do

    project.command("scancel", job)
    assert run.wait(timeout=200) != 0
    assert "out of" not in project.log.read_text()  # nothing to raise
    assert not (project.root / DENSE).exists()
    done = json.loads(resume_file(project).read_text())["done"]

    output = project.submit(DENSE, "--retries", "0")  # the same command
    assert len(submissions(output)) == 1
    assert f"resumed after {done} of" in log.read_text()
    whole.snakemake(DENSE)
    assert project.files() == whole.files()
    assert not resume_file(project).exists()


def test_out_of_memory_or_time_says_which_stage_and_what_to_raise(project):
    study = (project.root / "config/studies/tiny.yaml").read_text()
    endless = study.replace("epochs: 3", "epochs: 40000")
    greedy = project.root / "config/studies/greedy.yaml"
    greedy.write_text(endless.replace("{runtime: 5, mem_mb: 2000}", "{runtime: 60, mem_mb: 450}"))
    slow = project.root / "config/studies/slow.yaml"
    slow.write_text(endless.replace("runtime: 5", "runtime: 1"))
    targets = [DENSE.replace("tiny", path.stem) for path in (greedy, slow)]
    output = project.submit(*targets, "--retries", "0", check=False)
    assert (
        "Error: study greedy, seed 0, rule dense: out of memory; its last attempt had 450 MB. "
        "Raise `mem_mb` under `resources` in config/studies/greedy.yaml and repeat the command."
    ) in output
    assert (
        "Error: study slow, seed 0, rule dense: out of time; its last attempt had 1 min. "
        "Raise `runtime` under `resources` in config/studies/slow.yaml and repeat the command."
    ) in output
    assert json.loads(resume_file(project, "slow").read_text())["done"] > 0  # it would go on


def interrupt(run):
    """Ctrl-C, and again after a minute, as one would: on a busy machine the first may be missed."""
    for _ in range(3):
        os.killpg(run.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return run.wait(timeout=60)
    raise AssertionError("Snakemake does not end")


def test_jobs_on_one_node_get_a_gpu_each_and_end_with_snakemake(project):
    """The GPUs are pretended, so the trainings run on the CPU beside them."""
    project.study("runtime: 5", "runtime: 60")
    project.study("seeds: [0]", "seeds: [0, 1]")
    project.study("epochs: 3", "epochs: 40000")
    targets = [DENSE, DENSE.replace("seed0", "seed1")]
    run = project.start_submitting(*targets, "--set-resources", "dense:gpu=1")

    def of_each():
        assert run.poll() is None, project.log.read_text()
        shown = project.command("scontrol", "--details", "show", "job")
        return sorted(re.findall(r"GRES=gpu:1\(IDX:(\d)\)", shown))

    wait_until(lambda: of_each() == ["0", "1"], 200)
    wait_for_training(project, run)
    assert interrupt(run) != 0
    wait_until(lambda: not project.command("squeue", "--me", "--noheader"), 60)


def test_a_training_of_two_processes_asks_for_two_gpus_on_one_node(project, tmp_path):
    """The GPUs are pretended, so both train on the CPU."""
    project.study("epochs: 3", "epochs: 3\n  processes: 2")
    local = project.copy(tmp_path / "local")
    seen = project.root / "sbatch.log"
    real = project.slurm / "bin" / "sbatch"
    folder = tmp_path / "bin"
    folder.mkdir()
    script = f'#!/bin/sh\necho "$@" >> {seen}\nexec {real} "$@"\n'
    (folder / "sbatch").write_text(script)
    (folder / "sbatch").chmod(0o755)
    environment = project.environment()
    environment["PATH"] = f"{folder}:{environment['PATH']}"
    run = subprocess.run(
        [*SNAKEMAKE, DENSE, *PROFILES, "--set-resources", "dense:gpu=2"], cwd=project.root,
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    job = submissions(run.stdout + run.stderr)[-1]
    asked = seen.read_text().splitlines()[-1]
    assert "--gpus=2" in asked
    assert "--nodes=1" in asked
    assert "--cpus-per-task=2" in asked
    assert "--ntasks-per-gpu" not in asked
    assert "NumNodes=1" in project.command("scontrol", "show", "job", job)
    assert "NumCPUs=2 " in project.command("scontrol", "show", "job", job)
    local.snakemake(DENSE)
    assert project.files() == local.files()


def test_every_command_of_the_document_runs(project):
    """In its order, on the tiny study, with what a cluster without accounting needs."""
    project.edit("config/config.yaml", "studies: [digits]", "studies: [tiny]")
    shown = blocks(REPOSITORY / "docs/cluster.md", "sh")
    assert len(shown) >= 8
    settings = " ".join(PROFILES[2:])
    last = project.root / "results/tiny/seed0/iterative/lr_rewind/t2/level2/state.safetensors"
    for block in shown:
        last.unlink(missing_ok=True)  # so that there is something to submit
        script = block.replace("--profile workflow/profiles/slurm ", f"{' '.join(PROFILES)} ", 1)
        if settings in block:
            script = block  # says so itself
        run = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], cwd=project.root,
            env=project.environment(), capture_output=True, text=True,
        )  # fmt: skip
        assert run.returncode == 0, f"{block}\n{run.stdout}{run.stderr}"
    assert (project.root / "plots/rewind_vs_finetune.pdf").exists()
    assert not cluster.processes(project.slurm / "home/slurm")


def test_a_cluster_leaves_no_process_and_needs_an_empty_folder_only(slurm, tmp_path):
    for _ in range(2):  # again in the same folder
        cluster.start(tmp_path / "second")
        assert cluster.processes(tmp_path / "second")
        cluster.stop(tmp_path / "second")
        assert not cluster.processes(tmp_path / "second")
    assert cluster.processes(slurm)  # the first lives on


def test_a_machine_without_slurm_is_told_what_to_install(monkeypatch):
    monkeypatch.setattr(cluster, "_find", lambda program: None)
    assert "apt-get install slurm-wlm munge" in cluster.missing()


def test_a_folder_with_too_long_a_name_says_so(tmp_path):
    run = subprocess.run(
        [sys.executable, REPOSITORY / "tests/cluster/slurm.py", "start", tmp_path / ("x" * 100)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode != 0
    assert "Traceback" not in run.stderr
