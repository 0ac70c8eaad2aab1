"""A stage by several processes, as a job starts them."""

import json
import os
import runpy
import subprocess
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from pruning import files
from pruning.registry import load
from pruning.running import jobs
from pruning.running.launch import _why
from pruning.training import processes
from tests import together

NETWORK = """
import os, time
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.fc = nn.BatchNorm2d(1), nn.Linear(64, 10)
        self.steps = 0

    def forward(self, images):
        self.steps += self.training
        fault = os.environ.get("FAULT", "")
        if self.steps == 60 and fault and os.environ.get("RANK") == "1":
            if fault == "raise":
                raise ValueError("a fault of process 1")
            os.kill(os.getpid(), 9)
        if fault:
            time.sleep(0.02)  # so that progress is worth to be saved
        return self.fc(self.norm(images).flatten(1))

def net(shape, classes):
    return Net()
"""
JOB = """
import sys
from types import SimpleNamespace
from pruning.running import jobs
recipe = dict(epochs=4, batches=dict(size=64), schedule=dict(learning_rate=0.1), threads=1,
              processes=2)
task = dict(
    kind="classification", validation=dict(source="test", fraction=0.2), exempt=[],
    network=dict(name="net.py:net", initialization="kaiming_normal", options={}), recipe=recipe,
)
stage = dict(study="s", seed=0, task=task, code_version="v")
snakemake = SimpleNamespace(
    log=["dense.log"], config=dict(device="cpu"), params=SimpleNamespace(stage=stage), threads=1
)
jobs.compute(snakemake, "pruning.stages.dense:dense", data=sys.argv[1], output="dense",
             retrain_times=(2.0,))
"""


def stage(folder, data):
    """The job's stage in a process that is one of several already."""
    os.chdir(folder)

    def call(snakemake, place, **arguments):
        context = load("pruning.stages.context:StageContext")(**snakemake.params.stage)
        with files.withheld() if processes.rank() else nullcontext():
            load(place)(context, **arguments)

    jobs.compute, sys.argv = call, ["job.py", str(data)]
    runpy.run_path("job.py")
    return processes.rank()


def test_a_process_that_fails_ends_all_and_what_was_saved_is_gone_on_from(digits_file, tmp_path):
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    for folder in (broken, whole):
        folder.mkdir()
        (folder / "net.py").write_text(NETWORK)
        (folder / "job.py").write_text(JOB)
    run = subprocess.run(
        [sys.executable, "job.py", digits_file], cwd=broken, env=os.environ | {"FAULT": "raise"},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    log = (broken / "dense.log").read_text()
    assert run.returncode == 1
    assert "Process 1 of 2 (counted from 0): net.py, line 16" in run.stderr
    assert "a fault of process 1" in run.stderr
    for text in (run.stderr, log):
        assert "Traceback" not in text
        assert text.count("a fault of process 1") == 1
    assert "share the 1 that Snakemake has" in log
    assert log.count("epoch 1,") == 1  # of the first process alone
    assert not (broken / "dense").exists()
    index = json.loads((broken / "dense.resume/index.json").read_text())
    assert index["done"] > 0

    for folder in (broken, whole):
        found = together.run(2, stage, str(folder), str(digits_file))
        assert found == [0, 1], found
    names = [str(p.relative_to(whole)) for p in sorted((whole / "dense").rglob("*")) if p.is_file()]
    assert "dense/rewind/t2.safetensors" in names
    for name in set(names) - {"dense/timing.json", "dense/state.json"}:
        assert (broken / name).read_bytes() == (whole / name).read_bytes(), name
    assert not (broken / "dense.resume").exists()


SAID = """
Failures:
[1]:
  time      : 2026-11-28_02:12:40
  host      : here
  rank      : 1 (local_rank: 1)
  exitcode  : -9 (pid: 4711)
  error_file: <N/A>
Root Cause (first observed failure):
[0]:
  time      : 2026-11-28_02:12:39
  host      : here
  rank      : 0 (local_rank: 0)
  exitcode  : -15 (pid: 4710)
  error_file: <N/A>
"""


def test_why_processes_ended_is_one_paragraph(tmp_path):
    said = tmp_path / "torchrun"
    said.write_text(SAID)

    def failed(rank, message, lost=False):
        told = {"rank": rank, "lost": lost, "message": message, "traceback": None}
        (tmp_path / f"rank{rank:04d}").write_text(json.dumps(told))

    failed(0, "Another has ended.", lost=True)
    assert _why(tmp_path, said, 3, 1).startswith("Process 1 of 3 (counted from 0) was killed (SIGK")
    failed(2, "Mine.")
    assert _why(tmp_path, said, 3, 1) == "Process 2 of 3 (counted from 0): Mine."
    failed(1, "Mine.")
    assert _why(tmp_path, said, 3, 1) == "Mine."
    failed(0, "All have this.")
    assert _why(tmp_path, said, 3, 1) == "All have this."


def test_the_recipe_of_a_stage_has_as_many_processes_as_its_job(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    recipe = {"processes": 2, "threads": 1}
    given = SimpleNamespace(stage={"task": {"recipe": recipe}})
    snakemake = SimpleNamespace(log=["a.log"], config={"device": "cpu"}, params=given, threads=2)
    with pytest.raises(SystemExit, match="1"):
        jobs.compute(snakemake, "x:y", recipe={"processes": 1})
    assert "`processes: 1`, and its job was started for 2" in capsys.readouterr().err
