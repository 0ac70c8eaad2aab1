"""Worker processes that read pictures, in whole jobs: how many, how they end, what they leave."""

import multiprocessing
import os
import runpy
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from pruning.data import loader, splits
from pruning.data.batching import Batching, ResizedCrop
from pruning.errors import PruningError
from pruning.running import jobs
from pruning.training.loop import Run, train
from pruning.training.resume import ResumeFile
from tests.conftest import assert_same_state, small_task
from tests.test_callback import Killed, Killing
from tests.test_image_files import alive, listed, make_tree, stream

FORK = multiprocessing.get_context("fork")
CROP = ResizedCrop((0.2, 1.0), (0.75, 4 / 3))
PATIENCE = 30  # seconds


@pytest.fixture
def tree(tmp_path):
    make_tree(tmp_path / "tree", train=30)
    return tmp_path


def forked(function, *arguments):
    process = FORK.Process(target=function, args=arguments)
    process.start()
    return process


def wait_for(what):
    deadline = time.monotonic() + PATIENCE
    while not what() and time.monotonic() < deadline:
        time.sleep(0.02)
    return what()


# How they end.


def train_for_ever(path, answer):
    """As the leader of a group, with what it says in a file of its own."""
    os.setsid()
    sys.stderr = open(path.with_suffix(".err"), "w")  # noqa: SIM115
    os.dup2(sys.stderr.fileno(), 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ[loader.WORKERS] = "2"
    source = stream(splits.load(path), Batching(5, resized_crop=CROP))
    index = 0
    try:
        while True:
            source.batch(index)
            if not index:
                answer.send([child.pid for child in multiprocessing.active_children()])
            index += 1
    except KeyboardInterrupt:
        os._exit(130)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("group", [True, False])
def test_a_signal_ends_a_training_and_who_reads_for_it(tree, name, group):
    """As a terminal and Slurm send it, to all processes of a job, and as `kill` does, to one."""
    path = listed(tree)
    ours, theirs = FORK.Pipe()
    process = forked(train_for_ever, path, theirs)
    assert ours.poll(PATIENCE)
    workers = ours.recv()
    assert len(workers) == 2
    (os.killpg if group else os.kill)(process.pid, getattr(signal, name))
    process.join(PATIENCE)
    expected = 130 if name == "SIGINT" else -signal.SIGTERM
    assert process.exitcode == expected
    assert wait_for(lambda: not any(map(alive, workers)))
    assert path.with_suffix(".err").read_text() == ""


def test_without_room_in_shared_memory_a_training_ends_and_says_what_to_do(tree, monkeypatch):
    """Containers have little of it. By itself torch prints tracebacks, and the training waits."""

    def full(_tensor):
        raise RuntimeError("unable to allocate shared memory(shm): No space left on device (28)")

    monkeypatch.setattr(torch.Tensor, "share_memory_", full)
    data = splits.load(listed(tree))
    source = stream(data, Batching(5), 2, monkeypatch)
    with pytest.raises(PruningError, match=r"No space left on device .*/dev/shm.*--shm-size"):
        source.batch(0)
    assert not multiprocessing.active_children()
    assert stream(data, Batching(5), 0, monkeypatch).batch(0)[0].shape == (5, 12, 12, 3)


def test_who_reads_tells_of_all_but_a_training_that_is_gone(capsys):
    loader._tell_unless_gone(ConnectionResetError, ConnectionResetError(), None)
    assert capsys.readouterr().err == ""
    loader._tell_unless_gone(ValueError, ValueError("a fault"), None)
    assert "a fault" in capsys.readouterr().err


@pytest.mark.parametrize("boundary", ["straddle", "keep"])
def test_a_killed_training_goes_on_to_the_same_bytes_with_other_numbers_of_workers(
    tree, monkeypatch, boundary
):
    batches = Batching(
        8, boundary, flip=True, resized_crop=CROP, normalization="scale"
    )  # 30 pictures are no whole number of batches
    data = splits.load(listed(tree))
    task = small_task(data, "small_cnn", epochs=3, milestones=(2,), batches=batches)
    start, timeline = task.initial_state(0), task.timeline
    run = Run(timeline.total_steps, timeline.schedule(), 0, ("x",))
    whole = train(task, start, run)
    for epoch in (1, 2):
        monkeypatch.setenv(loader.WORKERS, "2")
        with pytest.raises(Killed):
            train(task, start, run, resume=Killing(tree / str(epoch), epoch))
        monkeypatch.setenv(loader.WORKERS, "1")
        again = train(task, start, run, resume=ResumeFile(tree / str(epoch), "same"))
        assert_same_state(again.state, whole.state)
        assert again.metrics == whole.metrics


# The path that the rules' scripts take.

RECIPE = {
    "epochs": 3,
    "batches": {
        "size": 8,
        "flip": True,
        "resized_crop": {"scale": [0.2, 1], "ratio": [0.75, 1.33]},
        "normalization": "given",
        "mean": [0.5] * 3,
        "std": [0.25] * 3,
    },
    "schedule": {"learning_rate": 0.1},
    "threads": 1,
}
SCRIPT = Path(__file__).parents[1] / "workflow" / "scripts" / "dense.py"


def job(folder, data, threads, answer):
    """A rule's script, as Snakemake calls it with so many threads."""
    os.chdir(folder)
    seen, real = [], loader.workers

    def workers():
        seen.append(real())
        return seen[-1]

    loader.workers = workers
    network = {"name": "mlp", "initialization": "kaiming_normal", "options": {"widths": [6]}}
    task = {
        "kind": "classification",
        "validation": {"source": "test", "fraction": 0.4},
        "exempt": [],
        "network": network,
        "recipe": RECIPE,
    }
    snakemake = SimpleNamespace(
        log=["dense.log"],
        config={"device": "cpu"},
        params=SimpleNamespace(
            stage={"study": "s", "seed": 0, "task": task, "code_version": "v"},
            times=SimpleNamespace(value=(1.0,)),
        ),
        threads=threads,
        input=SimpleNamespace(data=str(data)),
        output=SimpleNamespace(summary="dense/summary.json"),
    )
    runpy.run_path(str(SCRIPT), {"snakemake": snakemake})
    answer.send(sorted(set(seen)))


def written(folder):
    """What a stage wrote, but for how long it took."""
    files = sorted(f for f in (folder / "dense").rglob("*") if f.is_file())
    return {f.relative_to(folder): f.read_bytes() for f in files if f.suffix == ".safetensors"}


def test_a_rule_s_script_gives_equal_bytes_with_and_without_threads_that_read(tree):
    data, found = listed(tree), {}
    for threads in (1, 3):  # 1: as where Snakemake has one core, and gives no more
        folder = tree / f"threads{threads}"
        folder.mkdir()
        ours, theirs = FORK.Pipe()
        process = forked(job, folder, data, threads, theirs)
        process.join(60)
        assert process.exitcode == 0, (folder / "dense.log").read_text()
        assert ours.recv() == [threads - 1]
        found[threads] = written(folder)
    assert len(found[1]) >= 2
    assert found[1] == found[3]


@pytest.mark.parametrize(
    ("threads", "recipe", "count"),
    [
        (1, {"threads": 1}, 0),
        (3, {"threads": 1}, 2),
        (3, {"threads": 4}, 0),
        (8, {"threads": 2, "processes": 2}, 2),
        (7, {"threads": 2, "processes": 2}, 1),
        (2, {"threads": 1, "processes": 4}, 0),
    ],
)
def test_threads_that_a_job_was_given_are_shared_by_those_who_train_and_who_read(
    threads, recipe, count
):
    assert jobs.readers(threads, recipe) == count


@pytest.mark.parametrize("told", ["two", "-1", "1.5", "", "²"])
def test_a_number_of_workers_that_is_none_is_refused(told):
    with pytest.raises(PruningError, match=loader.WORKERS):
        loader.workers({loader.WORKERS: told})


def test_threads_of_a_fork_do_not_hang_it(tree, monkeypatch):
    """Trainings on several threads fork, too."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        torch.rand(500, 500) @ torch.rand(500, 500)
        source = stream(splits.load(listed(tree)), Batching(30), 2, monkeypatch)
        assert source.batch(0)[0].shape == (30, 12, 12, 3)
    finally:
        torch.set_num_threads(before)
